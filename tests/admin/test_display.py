"""Times, badges and cut texts in the admin."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.admin import display
from accounts.admin.event_details import in_words


@pytest.fixture(autouse=True)
def _frozen_clock(clock):
    """Stop the clock."""


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=3, minutes=59), "3 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=60), "60 days ago"),
        (timedelta(seconds=-59), "in a moment"),
        (timedelta(minutes=-5), "in 5 min"),
        (timedelta(days=-14), "in 14 days"),
    ],
)
def test_a_time_is_shown_as_the_distance_from_now(elapsed, text):
    assert f">{text}<" in display.ago("created", timezone.now() - elapsed)


def test_a_distant_time_is_shown_as_a_date():
    time = timezone.now() - timedelta(days=61)

    assert f">{time:%Y-%m-%d}<" in display.ago("created", time)


def test_the_exact_time_is_shown_on_hover_and_in_full_on_a_page():
    time = timezone.now() - timedelta(hours=3)

    assert f'title="{time:%Y-%m-%d %H:%M} UTC">3 h ago<' in display.ago("created", time)
    assert f">{time:%Y-%m-%d %H:%M} UTC (3 h ago)<" in display.moment(time)


def test_an_unknown_time_is_empty():
    assert display.moment(None) == ""


def test_text_from_a_client_is_escaped():
    assert "<b>" not in display.shorten('"><b>') + display.badge("good", "<b>", '"><b>')


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({}, ""),
        ({"reason": "reused"}, "Reason: refresh token reused."),
        ({"reason": "of a later release"}, "Reason: of a later release."),
        ({"reason": "revoked", "count": 1}, "Reason: by an administrator. 1 session."),
        ({"granted": ["admin", "moderator"], "taken": []}, "Added: admin, moderator."),
        ({"names": ["fullname", "nickname"]}, "Changed: full name, nickname."),
        (
            {"presented_generation": 0, "current_generation": 2},
            "Token 0 was presented. Token 2 is the current one.",
        ),
        ({"new_fact": ["a", 1]}, "New fact: a, 1."),
    ],
)
def test_the_details_of_an_event_are_shown_in_words(details, words):
    assert in_words(details) == words
