"""authclient.django.linking in projects with different user models: who is linked, and who gets a new user."""

import json
import subprocess
import sys

import pytest

from tests import servers
from tests.servers import ROOT

FOLDER = ROOT / "tests/clients/linking"
REFUSED = "account_conflict"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, django_db_setup, django_db_blocker):
    """Return a function that runs the scenarios with a user model, once per model."""
    # PostgreSQL creates no database within the transaction of a test.
    databases = {
        model: servers.environment(tmp_path_factory.mktemp("linking"), django_db_blocker) for model in MODELS
    }
    known = {}

    def run(model):
        if model not in known:
            environment = {
                **databases[model],
                "PYTHONPATH": f"{FOLDER}:{ROOT / 'clients/python'}",
                "DJANGO_SETTINGS_MODULE": "settings",
                "USER_MODEL": model,
            }
            done = subprocess.run(
                [sys.executable, str(FOLDER / "scenarios.py")], env=environment,
                check=False, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            known[model] = json.loads(done.stdout)
        return known[model]

    return run


MODELS = ["auth.User", "people.Person", "people.Member", "people.Strict", "people.Contact"]
OPTIONAL = {"auth.User", "people.Person", "people.Member"}


@pytest.mark.parametrize("model", MODELS)
class TestLinking:
    def test_an_address_that_is_not_verified_links_nobody(self, outcomes, model):
        without_address = outcomes(model)["unverified"], outcomes(model)["verified as text"]

        assert "ann" not in without_address
        assert set(without_address) <= {"new -", REFUSED}

    def test_by_subject_links_nobody_by_address(self, outcomes, model):
        assert outcomes(model)["by subject"] == ("new -" if model in OPTIONAL else REFUSED)

    def test_a_verified_address_links_its_user_for_good(self, outcomes, model):
        assert outcomes(model)["verified"] == "ann"
        assert outcomes(model)["again, with another address"] == "ann"

    def test_a_user_is_never_linked_to_a_second_subject(self, outcomes, model):
        assert outcomes(model)["second subject"] == ("new -" if model in OPTIONAL else REFUSED)
        assert outcomes(model)["links of one user"]

    def test_of_two_newcomers_with_one_address_the_first_gets_it(self, outcomes, model):
        expected = "new -" if model in OPTIONAL else REFUSED

        assert outcomes(model)["newcomer"] == "new zoe@example.com"
        assert outcomes(model)["second newcomer"] == outcomes(model)["third newcomer"] == expected

    def test_an_address_with_a_similar_letter_is_another_one(self, outcomes, model):
        assert outcomes(model)["another letter"] == "new mike@example.com"

    def test_staff_are_not_linked_by_address(self, outcomes, model):
        if model == "people.Contact":
            pytest.skip("the model has no staff")
        assert outcomes(model)["staff"] == ("new -" if model in OPTIONAL else REFUSED)

    def test_first_requests_at_once_create_one_user(self, outcomes, model):
        assert outcomes(model)["one subject at once"] == 1
        assert outcomes(model)["one verified subject at once"] == 1

    def test_two_subjects_with_one_address_at_once_share_no_user(self, outcomes, model):
        assert outcomes(model)["one address at once"]

    def test_link_users_reports_which_lines_it_could_not_link(self, outcomes, model):
        assert outcomes(model)["import"] == [
            "Line 5: 'no key' cannot be the primary key of a user of this project.",
            "1 linked, 1 already linked, 3 refused.",
            True,
        ]
