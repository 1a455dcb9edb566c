"""docs/services.md: the examples with the package authclient work as the page shows them."""

import asyncio
import re
import sys
from functools import partial
from urllib.parse import urlencode

import httpx
import pytest
from authclient.django.authentication import AccessTokenAuthentication
from authclient.fastapi import RefusedRequest
from authclient.verifier import TokenRevoked
from django.test import override_settings
from django.utils.module_loading import import_string
from fastapi import Request
from fastapi.security import SecurityScopes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from docs.services.fake_issuer import FakeIssuer
from tests.servers import ROOT

SESSION = "0197b8a0-0000-7000-8000-000000000001"
PAGE = (ROOT / "docs/services.md").read_text()
[SECTION] = re.findall(r"## Verify tokens in Python\n(.*?)\n## ", PAGE, re.DOTALL)
PLAIN, SETTINGS, VIEW, FASTAPI = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
[SIGN_OUTS] = re.findall(r"## Receive sign-outs\n(.*?)\n## ", PAGE, re.DOTALL)
LOGOUT_FLASK, LOGOUT_SETTINGS, LOGOUT_URLS, LOGOUT_FASTAPI = re.findall(
    r"```python\n(.*?)```", SIGN_OUTS, re.DOTALL
)


@pytest.fixture(scope="module")
def issuer():
    with FakeIssuer() as running:
        yield running


def execute(example, issuer):
    """Run an example with the address of a running issuer; return its variables."""
    assert "https://auth.example.com" in example
    variables = {"__name__": "tests.docs.test_services"}
    exec(example.replace("https://auth.example.com", issuer.url), variables)
    return variables


def test_the_example_without_a_framework(issuer):
    delete_orders = execute(PLAIN, issuer)["delete_orders"]

    assert delete_orders(f"Bearer {issuer.token('orders', sub='7', roles=['moderator'], acr='2')}") == (
        200,
        {},
        {"of": "7"},
    )
    for authorization, status, code in (
        (None, 401, "token_invalid"),
        (f"Bearer {issuer.token('stock', roles=['moderator'])}", 401, "token_invalid"),
        (f"Bearer {issuer.token('orders', exp=1)}", 401, "token_expired"),
        (f"Bearer {issuer.token('orders')}", 403, "role_required"),
        (
            f"Bearer {issuer.token('orders', roles=['moderator'], auth_time=1)}",
            403,
            "recent_authentication_required",
        ),
        (f"Bearer {issuer.token('orders', roles=['moderator'])}", 403, "second_factor_required"),
    ):
        refused = delete_orders(authorization)
        assert (refused[0], refused[2]["code"]) == (status, code)


def test_the_example_with_django(issuer, monkeypatch):
    settings = execute(SETTINGS, issuer)
    variables = {}
    exec(VIEW, variables)
    framework = settings["REST_FRAMEWORK"]
    view = variables["Orders"]
    view.authentication_classes = [import_string(path) for path in framework["DEFAULT_AUTHENTICATION_CLASSES"]]
    monkeypatch.setattr(
        APIView, "get_exception_handler", lambda self: import_string(framework["EXCEPTION_HANDLER"])
    )

    def request(method, **headers):
        with override_settings(AUTH_SERVICE=settings["AUTH_SERVICE"]):
            return view.as_view()(getattr(APIRequestFactory(), method)("/orders", headers=headers))

    get = partial(request, "get")

    moderator = get(Authorization=f"Bearer {issuer.token('orders', sub='7', roles=['moderator'])}")
    assert (moderator.status_code, moderator.data) == (200, {"of": 7, "roles": ("moderator",)})
    user = get(Authorization=f"Bearer {issuer.token('orders')}")
    assert (user.status_code, user.data["code"]) == (403, "role_required")
    assert get().data == {"message": "No token provided!", "code": "token_missing"}
    expired = get(Authorization=f"Bearer {issuer.token('orders', exp=1)}")
    assert (expired.status_code, expired.data["code"]) == (401, "token_expired")
    assert 'error="invalid_token"' in expired["WWW-Authenticate"]
    password_only = request("delete", Authorization=f"Bearer {issuer.token('orders', roles=['moderator'])}")
    assert (password_only.status_code, password_only.data["code"]) == (403, "second_factor_required")
    both = request("delete", Authorization=f"Bearer {issuer.token('orders', roles=['moderator'], acr='2')}")
    assert (both.status_code, both.data) == (200, {"deleted": 0})


def test_the_example_with_fastapi(issuer, monkeypatch):
    # FastAPI evaluates annotations in the module of the function.
    variables = execute(FASTAPI, issuer)
    for name in ("Annotated", "AccessToken", "Depends", "bearer"):
        monkeypatch.setattr(sys.modules[__name__], name, variables[name], raising=False)

    async def exchange():
        transport = httpx.ASGITransport(variables["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:
            user = {"Authorization": f"Bearer {issuer.token('orders', sub='7')}"}
            moderator = {"Authorization": f"Bearer {issuer.token('orders', roles=['moderator'], acr='2')}"}
            password_only = {"Authorization": f"Bearer {issuer.token('orders', roles=['moderator'])}"}
            old = {"Authorization": f"Bearer {issuer.token('orders', roles=['moderator'], auth_time=1)}"}
            return [
                await client.get("/orders", headers=user),
                await client.get("/orders"),
                await client.get("/orders", headers={"Authorization": "Bearer x"}),
                await client.delete("/orders", headers=user),
                await client.delete("/orders", headers=old),
                await client.delete("/orders", headers=password_only),
                await client.delete("/orders", headers=moderator),
                await client.get("/orders", headers=[*user.items(), *user.items()]),
            ]

    responses = asyncio.run(exchange())
    assert [(response.status_code, response.json().get("code")) for response in responses] == [
        (200, None),
        (401, "token_missing"),
        (401, "token_invalid"),
        (403, "role_required"),
        (403, "recent_authentication_required"),
        (403, "second_factor_required"),
        (200, None),
        (401, "token_invalid"),
    ]
    assert responses[0].json() == {"of": "7"}
    assert responses[1].headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert 'error="invalid_token"' in responses[2].headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in responses[4].headers["WWW-Authenticate"]


def test_the_sign_out_example_with_flask(issuer, tmp_path):
    example = LOGOUT_FLASK.replace("/run/shop", str(tmp_path))
    variables = execute(example, issuer)
    token = issuer.token("orders", sid=SESSION)
    assert variables["verifier"].verify(token)

    form = {"logout_token": issuer.logout_token("shop", sid=SESSION)}
    client = variables["app"].test_client()
    assert client.post("/backchannel-logout", data=form).status_code == 200
    assert client.post("/backchannel-logout", data={"logout_token": "x"}).status_code == 400
    with pytest.raises(TokenRevoked):
        variables["verifier"].verify(token)


def test_the_sign_out_example_with_django(issuer):
    settings = execute(LOGOUT_SETTINGS, issuer)
    variables = {}
    exec(LOGOUT_URLS, variables)
    [pattern] = variables["urlpatterns"]
    factory = APIRequestFactory()

    def authenticate():
        request = factory.get("/", headers={"Authorization": f"Bearer {issuer.token('orders', sid=SESSION)}"})
        return AccessTokenAuthentication().authenticate(request)

    with override_settings(AUTH_SERVICE=settings["AUTH_SERVICE"]):
        assert authenticate()
        request = factory.post("/backchannel-logout", {"logout_token": issuer.logout_token("shop", sid=SESSION)})
        assert pattern.callback(request).status_code == 400, "a multipart form is none of the standard"
        body = urlencode({"logout_token": issuer.logout_token("shop", sid=SESSION)})
        request = factory.post("/backchannel-logout", body, content_type="application/x-www-form-urlencoded")
        assert pattern.callback(request).status_code == 200
        with pytest.raises(AuthenticationFailed):
            authenticate()


def test_the_sign_out_example_with_fastapi(issuer):
    variables = execute(LOGOUT_FASTAPI, issuer)

    async def exchange():
        transport = httpx.ASGITransport(variables["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:
            form = {"logout_token": issuer.logout_token("shop", sid=SESSION)}
            return await client.post("/backchannel-logout", data=form)

    assert asyncio.run(exchange()).status_code == 200
    request = Request(
        {
            "type": "http",
            "headers": [(b"authorization", b"Bearer " + bytes(issuer.token("orders", sid=SESSION), "ascii"))],
        }
    )
    with pytest.raises(RefusedRequest) as refused:
        asyncio.run(variables["bearer"](request, SecurityScopes()))
    assert refused.value.detail["code"] == "token_revoked"


def test_the_command_names_the_version_that_is_built():
    version = re.search(r'^version = "(.*)"$', (ROOT / "clients/python/pyproject.toml").read_text(), re.MULTILINE)[
        1
    ]

    assert f"dist/authclient-{version}-py3-none-any.whl" in SECTION
