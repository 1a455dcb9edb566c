"""An issuer for tests of a service: creates access and logout tokens with any content, and publishes its key."""

import json
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"


class FakeIssuer:
    """An issuer that listens on a free local port, at `url`, while its `with` block runs."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._kid = uuid.uuid4().hex
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def token(self, audience, **claims):
        """Return a signed token with the service's claims, replaced or extended by `claims`."""
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": audience,
            "sub": "1",
            "client_id": "first-party",
            "iat": now,
            "nbf": now,
            "exp": now + 900,
            "jti": uuid.uuid4().hex,
            "sid": str(uuid.uuid4()),
            "ver": 0,
            "roles": ["user"],
            "auth_time": now,
            "acr": "1",
            "amr": ["pwd"],
            **claims,
        }
        return self._sign(payload, "at+jwt")

    def logout_token(self, client_id, **claims):
        """Return a signed logout token for an application, with claims replaced or extended by `claims`."""
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": client_id,
            "iat": now,
            "exp": now + 120,
            "jti": uuid.uuid4().hex,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": "1",
            "sid": str(uuid.uuid4()),
            **claims,
        }
        return self._sign(payload, "logout+jwt")

    def _sign(self, payload, typ):
        return jwt.encode(payload, self._key, algorithm="ES256", headers={"typ": typ, "kid": self._kid})

    def _documents(self):
        key = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return {
            METADATA: {"issuer": self.url, "jwks_uri": self.url + JWKS},
            JWKS: {"keys": [{**key, "kid": self._kid, "alg": "ES256", "use": "sig"}]},
        }

    def _handler(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                document = issuer._documents().get(self.path)
                self.send_response(200 if document else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document or {}).encode())

            def log_message(self, *_):
                pass

        return Handler
