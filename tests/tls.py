"""A proxy that terminates TLS in front of a server, as in production."""

import socket
import ssl
from threading import Thread


class TlsProxy:
    """Accepts HTTPS on a free port and forwards each request over HTTP, with `X-Forwarded-Proto: https`."""

    def __init__(self, certificate, target_port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.target_port = target_port
        self._listener = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.target_port), timeout=30) as server:
                client.settimeout(30)
                client.do_handshake()
                head, body = self._read_request(client)
                request_line, *lines = head.split(b"\r\n")
                kept = [line for line in lines if not line.lower().startswith(b"connection:")]
                added = [b"X-Forwarded-Proto: https", b"Connection: close"]
                server.sendall(b"\r\n".join([request_line, *added, *kept]) + b"\r\n\r\n" + body)
                while chunk := server.recv(65536):
                    client.sendall(chunk)
        except OSError:
            return  # the browser closed the connection

    def _read_request(self, client):
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive(client)
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(body) < length:
            body += self._receive(client)
        return head, body

    def _receive(self, client):
        chunk = client.recv(65536)
        if not chunk:
            raise ConnectionAbortedError
        return chunk
