"""An RSGI application whose responses say where the request and its body arrived."""

import threading

from authproject.direct_requests import DirectCallback, receive_directly


class Application:
    def __rsgi_init__(self, loop):
        self._loop_thread = threading.get_ident()
        receive_directly(self._receive)

    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], self._where())

    def _receive(self, scope, protocol):
        if scope.path == "/fault":
            raise SystemExit
        if scope.path == "/body":
            protocol().add_done_callback(Body(protocol, self._where))
        else:
            protocol.response_str(200, [], self._where())

    def _where(self):
        return "in the event loop" if threading.get_ident() == self._loop_thread else "directly"


class Body(DirectCallback):
    def __init__(self, protocol, where):
        self._protocol = protocol
        self._where = where

    def __call__(self, future):
        self._protocol.response_str(200, [], f"{future.result().decode()} {self._where()}")


application = Application()
