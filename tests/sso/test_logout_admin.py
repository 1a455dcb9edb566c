"""Test the list of logout tokens that wait in the admin."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import LogoutDelivery
from accounts.sso import logout_dispatch
from tests.factories import make_user

LIST = "/admin/accounts/logoutdelivery/"


@pytest.fixture
def delivery():
    now = timezone.now()
    return LogoutDelivery.objects.create(
        client_id="shop", uri="https://shop.example.com/logout", session_id=uuid4(), subject="7", attempts=3,
        created_at=now - timedelta(hours=3), next_attempt_at=now + timedelta(minutes=20),
    )  # fmt: skip


@pytest.fixture
def woken(monkeypatch):
    calls = []
    monkeypatch.setattr(logout_dispatch, "deliver_soon", lambda: calls.append(1))
    return calls


def try_again(client, delivery):
    return client.post(LIST, {"action": "try_again", "_selected_action": [delivery.pk]}, follow=True)


def test_the_list_says_who_was_not_notified_of_what_and_when_it_is_tried_again(admin_client, delivery):
    page = admin_client.get(LIST).content.decode()

    for text in (
        "shop",
        "https://shop.example.com/logout",
        f"…{str(delivery.session_id)[-8:]}",
        "3 h ago",
        "in 19 min",
    ):
        assert text in page


def test_a_delivery_is_tried_again_now(admin_client, delivery, woken):
    page = try_again(admin_client, delivery).content.decode()

    assert "1 logout delivery is tried again." in page
    delivery.refresh_from_db()
    assert delivery.next_attempt_at <= timezone.now()
    assert delivery.attempts == 3
    assert woken


def test_a_delivery_can_be_neither_added_changed_nor_deleted(admin_client, delivery):
    url = reverse("admin:accounts_logoutdelivery_change", args=[delivery.pk])

    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(url, {"uri": "https://evil.example/"}).status_code == 403
    assert admin_client.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
    page = admin_client.get(url)
    assert page.status_code == 200
    assert b"https://shop.example.com/logout" in page.content
    delivery.refresh_from_db()
    assert delivery.uri == "https://shop.example.com/logout"


def test_staff_who_may_only_view_cannot_try_again(delivery, woken):
    staff = make_user(is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_logoutdelivery"))
    client = Client()
    client.force_login(staff)

    assert client.get(LIST).status_code == 200
    try_again(client, delivery)
    assert not woken


def test_the_search_finds_an_application(admin_client, delivery):
    assert b"shop.example.com" in admin_client.get(LIST, {"q": "shop"}).content
    assert b"shop.example.com" not in admin_client.get(LIST, {"q": "other"}).content
