"""docs/services.md: the tests that the page shows pass, and its list of claims is complete."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime

import jwt
import pytest

from accounts.errors import AuthError
from accounts.tokens import claims as claims_module
from accounts.tokens.access_tokens import verify
from api.stateless import IssuerKeys, TokenUser
from docs.services.fake_issuer import JWKS, METADATA, FakeIssuer
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.servers import ROOT

[SECTION] = re.findall(r"## Test your service\n(.*?)\n## ", (ROOT / "docs/services.md").read_text(), re.DOTALL)
TESTS, WITHOUT_TOKEN = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


def test_the_tests_that_are_shown_pass(tmp_path):
    for name in ("fake_issuer.py", "flask_service.py"):
        shutil.copy(ROOT / "docs/services" / name, tmp_path)
    (tmp_path / "test_orders.py").write_text(TESTS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:randomly", "--rootdir", ".", "."],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_user_without_a_token_has_the_roles_that_are_given():
    made = {}
    exec(WITHOUT_TOKEN, made)

    user = made["client"].handler._force_user
    assert isinstance(user, TokenUser)
    assert user.roles == ("moderator",)


def test_the_token_says_what_one_of_the_service_says(signed_in):
    with FakeIssuer() as issuer:
        fake = issuer.token("authproject")

    def said(token):
        claims = jwt.decode(token, options={"verify_signature": False})
        return {name: type(value) for name, value in claims.items()}, set(jwt.get_unverified_header(token))

    assert said(fake) == said(signed_in.access_token)


def test_the_page_lists_every_claim(api, override_auth, clock):
    override_auth(profile_claims=("username", "email", "fullname"))
    claims = jwt.decode(SignedIn(make_user().username).access_token, options={"verify_signature": False})
    table = (
        (ROOT / "docs/services.md").read_text().partition("## Claims of an access token")[2].partition("\n## ")[0]
    )
    names = {name for line in table.splitlines() if line.startswith("| `") for name in _names(line.split("|")[1])}

    assert names == set(claims)


def _names(cell):
    return re.findall("`(.+?)`", cell)


def test_django_s_verifier_takes_it_and_the_service_itself_does_not(clock):
    with FakeIssuer() as issuer:
        token, now = issuer.token("orders", sub="7"), datetime.now(UTC)
        keys = IssuerKeys(issuer.url)
        claims = claims_module.verify(token, find_key=keys.find, issuer=issuer.url, audience="orders", at=now)
        assert claims.user_id == 7
        with pytest.raises(AuthError):
            verify(token, at=now)


def test_it_publishes_what_the_service_publishes(api):
    with FakeIssuer() as issuer:
        for path in (METADATA, JWKS):
            with urllib.request.urlopen(issuer.url + path) as answer:
                fake = json.load(answer)
            assert set(fake) <= set(api.get(path).json())
    assert set(fake["keys"][0]) == set(api.get(JWKS).json()["keys"][0])
