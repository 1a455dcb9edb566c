"""Fixtures of single sign-on."""

import pytest
from django.utils import timezone

from accounts.models import Authenticator
from tests.sso.flows import SingleSignOn, make_application


@pytest.fixture
def application():
    return make_application()


@pytest.fixture
def signed_on(application, clock):
    return SingleSignOn()


@pytest.fixture
def enrolled():
    """Return a function that adds an authenticator app to a user."""

    def enroll(user):
        now = timezone.now()
        return Authenticator.objects.create(
            owner=user, name="Phone", created_at=now, confirmed_at=now, encrypted_secret=b""
        )

    return enroll
