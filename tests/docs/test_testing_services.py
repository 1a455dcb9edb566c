"""docs/services.md: the tests on the page pass, its list of claims is complete, and the fake issuer matches the service."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime

import jwt
import pytest
from authclient.django.users import TokenUser
from authclient.verifier import Verifier

from accounts.errors import AuthError
from accounts.tokens.access_tokens import verify
from accounts.tokens.claims import ROLES_OMITTED, SCOPE
from docs.services.fake_issuer import JWKS, METADATA, FakeIssuer
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.servers import ROOT

[SECTION] = re.findall(r"## Test your service\n(.*?)\n## ", (ROOT / "docs/services.md").read_text(), re.DOTALL)
TESTS, WITHOUT_TOKEN = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


def test_the_tests_on_the_page_pass(tmp_path):
    for name in ("fake_issuer.py", "flask_service.py"):
        shutil.copy(ROOT / "docs/services" / name, tmp_path)
    (tmp_path / "test_orders.py").write_text(TESTS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:randomly", "--rootdir", ".", "."],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_example_without_a_token_authenticates_a_user_with_the_given_roles():
    variables = {}
    exec(WITHOUT_TOKEN, variables)

    user = variables["client"].handler._force_user
    assert isinstance(user, TokenUser)
    assert user.roles == ("moderator",)


def test_a_fake_token_has_the_claims_and_header_fields_of_a_real_one(signed_in):
    with FakeIssuer() as issuer:
        fake = issuer.token("authproject")

    def claims_and_header(token):
        claims = jwt.decode(token, options={"verify_signature": False})
        return {name: type(value) for name, value in claims.items()}, set(jwt.get_unverified_header(token))

    assert claims_and_header(fake) == claims_and_header(signed_in.access_token)


def test_the_page_lists_every_claim(api, override_auth, clock):
    override_auth(profile_claims=("username", "email", "fullname"))
    claims = jwt.decode(SignedIn(make_user().username).access_token, options={"verify_signature": False})
    table = (
        (ROOT / "docs/services.md").read_text().partition("## Claims of an access token")[2].partition("\n## ")[0]
    )
    names = {name for line in table.splitlines() if line.startswith("| `") for name in _names(line.split("|")[1])}

    assert names == {*claims, ROLES_OMITTED, SCOPE}


def _names(cell):
    return re.findall("`(.+?)`", cell)


def test_a_fake_token_is_accepted_by_the_verifier_and_refused_by_the_service(clock):
    with FakeIssuer() as issuer:
        token = issuer.token("orders", sub="7")
        assert Verifier(issuer.url, audience="orders").verify(token).subject == "7"
        with pytest.raises(AuthError):
            verify(token, at=datetime.now(UTC))


def test_the_fake_issuer_publishes_the_fields_that_the_service_publishes(api):
    with FakeIssuer() as issuer:
        for path in (METADATA, JWKS):
            with urllib.request.urlopen(issuer.url + path) as response:
                fake = json.load(response)
            assert set(fake) <= set(api.get(path).json())
    assert set(fake["keys"][0]) == set(api.get(JWKS).json()["keys"][0])
