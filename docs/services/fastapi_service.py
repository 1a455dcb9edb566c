"""An orders service in FastAPI that verifies access tokens with `authclient.fastapi`."""

import os
from typing import Annotated

from authclient.fastapi import AccessTokenBearer, add_error_handlers
from authclient.verifier import AccessToken, Verifier
from fastapi import Depends, FastAPI

app = FastAPI()
add_error_handlers(app)
bearer = AccessTokenBearer(Verifier(os.environ["ISSUER"], audience=os.environ.get("AUDIENCE", "orders")))

SignedIn = Annotated[AccessToken, Depends(bearer)]


@app.get("/orders")
async def orders(token: SignedIn):
    return {"orders": [], "of": token.subject, "roles": token.roles}


@app.delete("/orders", dependencies=[Depends(bearer.with_roles("moderator"))])
async def delete_orders():
    return {"deleted": 0}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
