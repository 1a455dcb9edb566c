"""What a request asks of the database."""

import re

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.sessions import compare_and_swap
from tests.factories import PASSWORD, make_user


def test_a_protected_request_asks_once(signed_in, django_assert_num_queries):
    for name in ("user", "mod", "admin"):
        with django_assert_num_queries(1):
            signed_in.content(name)


def test_public_content_and_keys_ask_nothing(api, django_assert_num_queries):
    for path in ("/api/test/all", "/.well-known/jwks.json", "/healthz", "/api/schema"):
        with django_assert_num_queries(0):
            assert api.get(path).status_code == 200


def test_a_refresh_is_one_update_with_no_transaction(signed_in):
    with CaptureQueriesContext(connection) as queries:
        signed_in.refresh(signed_in.refresh_token)

    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]


def test_a_refresh_without_rotation_asks_no_more(signed_in, auth, django_assert_num_queries):
    auth(refresh_token_rotation=False)

    with django_assert_num_queries(1):
        signed_in.refresh(signed_in.refresh_token)


def test_a_repeated_refresh_asks_once_more(signed_in, django_assert_num_queries):
    signed_in.refresh(signed_in.refresh_token)

    with django_assert_num_queries(2):
        signed_in.refresh(signed_in.refresh_token)


def test_a_refresh_changes_no_column_that_is_indexed_but_the_day(signed_in):
    changes = re.findall(r"(\w+) =", compare_and_swap._ADVANCE)
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "accounts_refreshtoken")

    assert len(changes) == 5
    assert {name for one in constraints.values() if one["index"] for name in one["columns"]}.isdisjoint(changes)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="heap-only tuples are PostgreSQL's")
def test_a_refresh_leaves_all_indexes_alone(signed_in):
    with connection.cursor() as cursor:
        # What this connection has not told yet, of tests before, would be counted afterwards.
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_reset()")
    token = signed_in.refresh_token
    for _ in range(20):
        token = signed_in.refresh(token).json()["refreshToken"]

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'accounts_refreshtoken'"
        )
        updates, hot = cursor.fetchone()
    assert hot == updates >= 20


def test_a_sign_in_asks_six_times_two_of_them_for_the_history(api, django_assert_max_num_queries):
    make_user("alice", roles=("user", "admin"))
    api.sign_in("alice")

    with django_assert_max_num_queries(6):
        assert api.sign_in("alice").status_code == 200


def test_the_first_sign_in_from_a_network_asks_three_times_more(api, django_assert_max_num_queries):
    make_user("alice")

    with django_assert_max_num_queries(9):
        assert api.sign_in("alice").status_code == 200


def test_a_sign_in_that_upgrades_the_hash_asks_once_more(api, django_assert_max_num_queries):
    make_user("alice")
    api.sign_in("alice")
    User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    with django_assert_max_num_queries(7):
        assert api.sign_in("alice").status_code == 200


def test_a_refused_token_asks_nothing(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        api.get("/api/test/user", "x.y.z")
