"""An RSGI application whose responses say where the request arrived."""

from authproject.direct_requests import receive_directly


class Application:
    def __rsgi_init__(self, loop):
        receive_directly(respond_directly, except_methods={"POST"})

    async def __rsgi__(self, scope, protocol):
        protocol.response_str(200, [], "in the event loop")


def respond_directly(scope, protocol):
    if scope.path == "/fault":
        raise SystemExit
    protocol.response_str(200, [], "directly")


application = Application()
