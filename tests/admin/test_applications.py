"""Applications in the Django admin, and their sessions in its lists."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.errors import InvalidClient
from accounts.models import Application, EndReason, RefreshToken, Service, SessionKind
from accounts.sso import applications, registration
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import make_user

ADD = "/admin/accounts/application/add/"
CALLBACK = "https://shop.example.com/callback"


@pytest.fixture(autouse=True)
def _two_services(override_auth):
    override_auth(audience=("auth", "orders"))


def register(client_id="shop", **fields):
    """Register an application; return it and its secret."""
    application = Application(**{"client_id": client_id, "name": "Shop", "redirect_uris": [CALLBACK], **fields})
    return application, registration.register(application, NO_CLIENT)


def page_of(application):
    return f"/admin/accounts/application/{application.pk}/change/"


def press(browser, application, button, **form):
    return browser.post(f"/admin/accounts/application/{application.pk}/{button}/confirm/", form)


def secret_on(page):
    return page.content.decode().partition('<code class="secret">')[2].partition("</code>")[0]


def errors_on(page):
    return [str(error) for errors in page.context["adminform"].form.errors.values() for error in errors]


def session_of(application, user, **columns):
    """Let a user have a session of an application."""
    session_id = SignedIn(user.username).claims.session_id
    RefreshToken.objects.filter(pk=session_id).update(application=application, **columns)
    return RefreshToken.objects.get(pk=session_id)


class TestRegistration:
    """The form for a new application."""

    def test_a_public_application_is_registered_with_one_address_a_line(self, admin_client, events):
        form = {
            "name": "Shop", "client_id": "shop", "backchannel_logout_uri": "https://api.example.com/logout?a=1",
            "redirect_uris": f" {CALLBACK}\r\n\r\nhttp://127.0.0.1/callback\r\n{CALLBACK}",
            "post_logout_redirect_uris": "https://shop.example.com/", "audiences": ["auth"],
        }  # fmt: skip
        assert admin_client.post(ADD, form).status_code == 302

        application = Application.objects.get()
        assert application.redirect_uris == [CALLBACK, "http://127.0.0.1/callback"]
        assert application.post_logout_redirect_uris == ["https://shop.example.com/"]
        assert (application.audiences, application.secret_digest) == (["auth"], "")
        assert [(line["event"], line["application"]) for line in events()] == [("application:registered", "shop")]

    def test_the_secret_of_a_confidential_application_is_shown_once(self, admin_client):
        form = {"name": "Shop", "client_id": "shop", "is_confidential": "on", "redirect_uris": CALLBACK}
        page = admin_client.post(ADD, form)

        assert applications.authenticate("shop", secret_on(page)).name == "Shop"
        assert "no-store" in page["Cache-Control"]
        again = admin_client.get(page_of(Application.objects.get())).content.decode()
        assert secret_on(page) not in again
        assert Application.objects.get().secret_digest not in again

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"redirect_uris": ""}, "This field is required."),
            ({"redirect_uris": "http://shop.example.com/"}, "http://shop.example.com/: use https, or http on"),
            ({"redirect_uris": f"{CALLBACK}\nhttps://*.example.com/"}, "https://*.example.com/: addresses are"),
            ({"post_logout_redirect_uris": "https://a@shop.example.com/"}, "leave out the user name"),
            ({"backchannel_logout_uri": "http://api.example.com/"}, "use https, or http on"),
            ({"audiences": ["unknown"]}, "unknown is not one of the available choices"),
            ({"client_id": "first-party"}, "reserved"),
            ({"client_id": "12345"}, "at least one letter"),
            ({"client_id": "orders"}, "Another client has this client ID"),
        ],
    )
    def test_a_wrong_value_is_refused_with_a_sentence(self, admin_client, fields, sentence):
        Service.objects.create(client_id="orders", audience="orders")
        form = {"name": "Shop", "client_id": "shop", "redirect_uris": CALLBACK, **fields}

        [error] = errors_on(admin_client.post(ADD, form))
        assert sentence in error
        assert not Application.objects.exists()

    def test_each_wrong_line_has_a_sentence(self, admin_client):
        form = {"name": "Shop", "client_id": "shop", "redirect_uris": "http://a.example/\nhttps://b.example/#x"}

        assert [error.split(": ")[0] for error in errors_on(admin_client.post(ADD, form))] == [
            "http://a.example/",
            "https://b.example/#x",
        ]

    def test_a_service_cannot_take_the_client_id_of_an_application(self, admin_client):
        register()
        form = {"client_id": "shop", "audience": "shop", "is_active": "on"}

        assert (
            "Another client has this client ID"
            in errors_on(admin_client.post("/admin/accounts/service/add/", form))[0]
        )


class TestChanges:
    """The page of an application, and its buttons."""

    def test_the_addresses_change_and_the_client_id_and_the_kind_stay(self, admin_client, events):
        application, _ = register()
        form = {
            "name": "Store",
            "client_id": "other",
            "is_confidential": "on",
            "redirect_uris": "https://b.example/",
        }
        assert admin_client.post(page_of(application), form).status_code == 302

        stored = Application.objects.get()
        assert (stored.name, stored.client_id, stored.is_confidential) == ("Store", "shop", False)
        assert stored.redirect_uris == ["https://b.example/"]
        assert (events()[-1]["event"], events()[-1]["names"]) == ("application:changed", ["name", "redirect_uris"])

    def test_what_was_changed_elsewhere_meanwhile_stays(self, admin_client, events):
        application, _ = register()
        form = admin_client.get(page_of(application)).context["adminform"].form.initial
        registration.deactivate(application, NO_CLIENT)
        posted = {"name": "Store", "redirect_uris": "\n".join(form["redirect_uris"])}
        admin_client.post(page_of(application), posted)

        assert not Application.objects.get().is_active
        count = len(events())
        admin_client.post(page_of(application), posted)
        assert len(events()) == count

    def test_a_stored_audience_that_the_service_lost_can_stay_or_go(self, admin_client):
        application, _ = register(audiences=["old"])
        form = {"name": "Shop", "redirect_uris": CALLBACK}

        assert admin_client.post(page_of(application), {**form, "audiences": ["old", "auth"]}).status_code == 302
        assert admin_client.post(page_of(application), {**form, "audiences": ["auth"]}).status_code == 302
        assert Application.objects.get().audiences == ["auth"]

    def test_both_secrets_work_until_the_previous_one_is_dropped(self, admin_client):
        application, first = register(is_confidential=True)
        assert "Drop the previous" not in admin_client.get(page_of(application)).content.decode()
        confirmation = press(admin_client, application, "secret").content.decode()
        assert 'value="Generate a new secret for Shop"' in confirmation
        second = secret_on(press(admin_client, application, "secret", confirmed="yes"))
        for secret in (first, second):
            assert applications.authenticate("shop", secret)

        assert "Drop the previous" in admin_client.get(page_of(application)).content.decode()
        press(admin_client, application, "drop")
        assert applications.authenticate("shop", first)
        press(admin_client, application, "drop", confirmed="yes")
        assert applications.authenticate("shop", second)
        with pytest.raises(InvalidClient):
            applications.authenticate("shop", first)
        messages = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
        assert messages == ["Generated a new secret.", "Dropped the previous secret."]

    @pytest.mark.parametrize("button", ["secret", "drop", "unknown"])
    def test_a_public_application_gets_no_secret(self, admin_client, button):
        application, _ = register()

        assert press(admin_client, application, button, confirmed="yes").status_code == 404
        assert Application.objects.get().secret_digest == ""

    def test_a_deactivation_ends_the_sessions_of_the_application_only(self, admin_client, clock, events):
        alice = make_user("alice")
        application, _ = register()
        other, _ = register("desk")
        ended, others = session_of(application, alice), [session_of(other, alice), session_of(None, alice)]
        assert 'value="Deactivate Shop"' in press(admin_client, application, "deactivate").content.decode()
        assert applications.find("shop")
        press(admin_client, application, "deactivate", confirmed="yes")

        ended.refresh_from_db()
        assert ended.end_reason == EndReason.REVOKED
        assert not RefreshToken.objects.filter(pk__in=[row.pk for row in others]).exclude(ended_at=None).exists()
        assert applications.find("shop") is None
        assert [line["event"] for line in events()][-2:] == ["application:deactivated", "session:ended"]

        press(admin_client, application, "activate", confirmed="yes")
        assert applications.find("shop")
        ended.refresh_from_db()
        assert ended.ended_at

    def test_a_deletion_ends_the_sessions_first(self, admin_client, clock, events):
        application, _ = register()
        session_of(application, make_user("alice"))
        page = f"/admin/accounts/application/{application.pk}/delete/"
        assert "Its sessions end now" in admin_client.get(page).content.decode()
        admin_client.post(page, {"post": "yes"})

        assert not Application.objects.exists()
        assert not RefreshToken.objects.exists()
        assert "session:ended" in [line["event"] for line in events()]

    def test_staff_with_every_permission_cannot_change_applications_unless_they_are_superusers(self):
        application, _ = register(is_confidential=True)
        clerk = make_user("clerk", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(content_type__model="application"))
        browser = Client()
        browser.force_login(clerk)

        assert browser.get(page_of(application)).status_code == 200
        form = {"name": "Shop", "redirect_uris": "https://evil.example/"}
        assert browser.post(page_of(application), form).status_code == 403
        assert browser.post(ADD, {**form, "client_id": "evil"}).status_code == 403
        for button in ("secret", "drop", "deactivate", "activate"):
            assert press(browser, application, button, confirmed="yes").status_code == 403
        assert (
            browser.post(f"/admin/accounts/application/{application.pk}/delete/", {"post": "yes"}).status_code
            == 403
        )
        assert Application.objects.get().redirect_uris == [CALLBACK]


class TestServices:
    """What registered services may get tokens of their own for."""

    FORM = {
        "client_id": "orders",
        "audience": "orders",
        "is_active": "on",
        "audiences": ["auth"],
        "roles": ["admin"],
    }

    def test_audiences_and_roles_are_selected(self, admin_client):
        admin_client.post("/admin/accounts/service/add/", self.FORM)

        service = Service.objects.get()
        assert (service.audiences, service.roles) == (["auth"], ["admin"])

    def test_an_unknown_role_is_refused(self, admin_client):
        assert errors_on(admin_client.post("/admin/accounts/service/add/", {**self.FORM, "roles": ["emperor"]}))

    def test_only_superusers_grant_roles_and_change_a_service_that_has_some(self):
        clerk = make_user("clerk", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(content_type__model="service"))
        browser = Client()
        browser.force_login(clerk)
        browser.post("/admin/accounts/service/add/", self.FORM)
        service = Service.objects.get()
        assert (service.audiences, service.roles) == (["auth"], [])

        Service.objects.update(roles=["admin"])
        assert browser.post(f"/admin/accounts/service/{service.pk}/secret/", {"confirmed": "1"}).status_code == 403
        assert browser.post(f"/admin/accounts/service/{service.pk}/change/", self.FORM).status_code == 403


class TestSessions:
    """Sessions of applications, and sign-ins of browsers, in the list and on their pages."""

    @pytest.fixture
    def family(self, clock):
        """Return a sign-in of a browser, a session that came of it, and one of this service's own API."""
        alice = make_user("alice")
        shop, _ = register()
        browser = session_of(None, alice, kind=SessionKind.BROWSER)
        return browser, session_of(shop, alice, parent=browser), session_of(None, alice)

    def listed(self, admin_client, query=""):
        page = admin_client.get(f"/admin/accounts/refreshtoken/{query}").content.decode()
        return page, set(re.findall(r"/refreshtoken/([0-9a-f-]{36})/change/", page))

    def test_the_list_names_the_application_and_filters_by_it(self, admin_client, family):
        browser, child, own = (str(row.pk) for row in family)
        page, ids = self.listed(admin_client)

        assert ids == {browser, child, own}
        assert '<span class="cut" title="Shop">Shop</span>' in page
        assert "single sign-on in a browser" in page
        assert self.listed(admin_client, "?application=shop")[1] == {child}
        assert self.listed(admin_client, "?application=-browser-")[1] == {browser}
        assert self.listed(admin_client, "?application=first-party")[1] == {own}
        assert self.listed(admin_client, "?application=unknown")[1] == set()

    def test_the_pages_of_a_sign_in_and_of_what_came_of_it_link_to_each_other(self, admin_client, family):
        browser, child, _ = family
        for row, other in ((browser, child), (child, browser)):
            page = admin_client.get(f"/admin/accounts/refreshtoken/{row.pk}/change/").content.decode()
            assert f"/admin/accounts/refreshtoken/{other.pk}/change/" in page

    def test_revoking_the_sign_in_of_a_browser_ends_what_came_of_it(self, admin_client, family):
        browser, child, _ = family
        path = f"/admin/accounts/refreshtoken/{browser.pk}/revoke/"
        assert "every session of an application that came of it" in admin_client.post(path).content.decode()
        admin_client.post(path, {"confirmed": "yes"})

        ended = RefreshToken.objects.exclude(ended_at=None)
        assert set(ended.values_list("pk", "end_reason")) == {(row.pk, "revoked") for row in (browser, child)}

    def test_deleting_the_sign_in_of_a_browser_ends_what_came_of_it(self, admin_client, family):
        browser, child, _ = family
        admin_client.post(f"/admin/accounts/refreshtoken/{browser.pk}/delete/", {"post": "yes"})

        child.refresh_from_db()
        assert child.end_reason == EndReason.REVOKED
