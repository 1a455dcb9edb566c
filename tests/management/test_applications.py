"""The commands createapplication and rotateapplicationsecret."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.errors import InvalidClient
from accounts.models import Application, Service
from accounts.sso import applications

CALLBACK = "https://shop.example.com/callback"


@pytest.fixture(autouse=True)
def _two_services(override_auth):
    override_auth(audience=("auth", "orders"))


def run(*arguments):
    output = StringIO()
    call_command(*arguments, stdout=output)
    return dict(line.split(": ", 1) for line in output.getvalue().splitlines() if ": " in line)


def create(*arguments):
    return run("createapplication", *arguments)


def test_a_public_application_is_named_after_its_name_and_gets_no_secret(events):
    printed = create("My Shop", "--redirect-uri", CALLBACK)

    assert printed == {"Client ID": "my-shop"}
    assert applications.authenticate("my-shop", None).redirect_uris == [CALLBACK]
    assert events()[-1]["event"] == "application:registered"


def test_a_confidential_application_gets_a_secret_that_is_printed_once(caplog):
    printed = create(
        "Shop", "--redirect-uri", CALLBACK, "--redirect-uri", "http://127.0.0.1/", "--client-id", "shop-2",
        "--post-logout-redirect-uri", "https://shop.example.com/", "--audience", "orders", "--confidential",
        "--backchannel-logout-uri", "https://api.example.com/logout?of=shop",
    )  # fmt: skip

    application = applications.authenticate("shop-2", printed["Client secret"])
    assert application.redirect_uris == [CALLBACK, "http://127.0.0.1/"]
    assert application.post_logout_redirect_uris == ["https://shop.example.com/"]
    assert application.backchannel_logout_uri == "https://api.example.com/logout?of=shop"
    assert applications.audiences_of(application) == ("orders",)
    assert printed["Client secret"] not in str(Application.objects.values()) + caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Shop"], "required: --redirect-uri"),
        (["Shop", "--redirect-uri", "http://shop.example.com/"], "use https, or http on localhost"),
        (["Shop", "--redirect-uri", CALLBACK, "--post-logout-redirect-uri", CALLBACK + "#x"], "fragment"),
        (["Shop", "--redirect-uri", CALLBACK, "--backchannel-logout-uri", "http://10.0.0.1/"], "use https"),
        (["Shop", "--redirect-uri", CALLBACK, "--client-id", "First"], "client_id: Use a-z"),
        (["Shop", "--redirect-uri", CALLBACK, "--client-id", "first-party"], "reserved"),
        (["Shop", "--redirect-uri", CALLBACK, "--client-id", "orders-api"], "Another client has this client ID"),
        (["商店", "--redirect-uri", CALLBACK], "--client-id"),
        (["Shop", "--redirect-uri", CALLBACK, "--audience", "stock"], "does not list stock. Known: auth, orders."),
        (["Shop", "--redirect-uri", CALLBACK, "--backchannel-logout-uri", " "], "is blank"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(arguments, sentence):
    Service.objects.create(client_id="orders-api", audience="orders")

    with pytest.raises(CommandError, match=sentence.replace(".", r"\.")):
        create(*arguments)
    assert not Application.objects.exists()


def test_both_secrets_work_until_the_rotation_is_finished(events):
    first = create("Shop", "--redirect-uri", CALLBACK, "--confidential")["Client secret"]
    second = run("rotateapplicationsecret", "shop")["Client secret"]
    for secret in (first, second):
        assert applications.authenticate("shop", secret)

    run("rotateapplicationsecret", "shop", "--finish")
    assert applications.authenticate("shop", second)
    with pytest.raises(InvalidClient):
        applications.authenticate("shop", first)
    assert [line["event"] for line in events()][-2:] == [
        "application:secret_rotated",
        "application:previous_secret_dropped",
    ]
    with pytest.raises(CommandError, match="has no previous secret"):
        run("rotateapplicationsecret", "shop", "--finish")


def test_a_second_rotation_refuses_the_oldest_secret():
    first = create("Shop", "--redirect-uri", CALLBACK, "--confidential")["Client secret"]
    second, third = (run("rotateapplicationsecret", "shop")["Client secret"] for _ in range(2))

    assert applications.authenticate("shop", second)
    assert applications.authenticate("shop", third)
    with pytest.raises(InvalidClient):
        applications.authenticate("shop", first)


@pytest.mark.parametrize(("client_id", "sentence"), [("unknown", "does not exist"), ("shop", "has no secret")])
def test_only_a_confidential_application_has_a_secret_to_rotate(client_id, sentence):
    create("Shop", "--redirect-uri", CALLBACK)

    with pytest.raises(CommandError, match=sentence):
        run("rotateapplicationsecret", client_id)
