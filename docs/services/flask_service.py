"""An orders service in Flask that verifies access tokens with PyJWT."""

import os

import jwt
import requests
from flask import Flask, abort, g, request

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ.get("AUDIENCE", "orders")
CREDENTIALS = (os.environ.get("CLIENT_ID", ""), os.environ.get("CLIENT_SECRET", ""))

app = Flask(__name__)
metadata = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server", timeout=5).json()
if metadata["issuer"] != ISSUER:
    raise SystemExit("The metadata belongs to another issuer.")
# PyJWKClient fetches the keys again when a token has an unknown kid.
keys = jwt.PyJWKClient(metadata["jwks_uri"], lifespan=30, timeout=5)


def token():
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" else abort(401)


@app.before_request
def authenticate():
    try:
        key = keys.get_signing_key_from_jwt(token())
        decoded = jwt.decode_complete(
            token(), key, algorithms=[key.algorithm_name], audience=AUDIENCE, issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "jti", "client_id"]},
        )  # fmt: skip
    except jwt.PyJWKClientConnectionError:
        abort(503)  # with 401, every client would refresh
    except jwt.PyJWTError:
        abort(401)
    if decoded["header"]["typ"] != "at+jwt":
        abort(401)
    g.claims = decoded["payload"]


@app.get("/orders")
def orders():
    return {"orders": [], "of": g.claims["sub"]}


@app.delete("/orders")
def delete_orders():
    """Introspect the token first, because this action must not be possible after a sign-out."""
    response = requests.post(
        metadata["introspection_endpoint"], data={"token": token()}, auth=CREDENTIALS, timeout=5
    )
    if response.status_code != 200:  # noqa: PLR2004
        abort(503)
    if not response.json()["active"]:
        abort(401)
    return {"deleted": 0}


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
