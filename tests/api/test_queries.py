"""What a request asks of the database."""

import re

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.sessions import compare_and_swap
from tests.factories import PASSWORD, make_user


def test_a_protected_request_costs_one_query(signed_in, django_assert_num_queries):
    for name in ("user", "mod", "admin"):
        with django_assert_num_queries(1):
            signed_in.content(name)


def test_public_endpoints_cost_no_query(api, django_assert_num_queries):
    for path in ("/api/test/all", "/.well-known/jwks.json", "/healthz", "/api/schema"):
        with django_assert_num_queries(0):
            assert api.get(path).status_code == 200


def test_a_refresh_is_one_update_with_no_transaction(signed_in):
    with CaptureQueriesContext(connection) as queries:
        signed_in.refresh(signed_in.refresh_token)

    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]


def test_a_refresh_without_rotation_costs_one_query(signed_in, auth, django_assert_num_queries):
    auth(refresh_token_rotation=False)

    with django_assert_num_queries(1):
        signed_in.refresh(signed_in.refresh_token)


def test_a_repeated_refresh_costs_two_queries(signed_in, django_assert_num_queries):
    signed_in.refresh(signed_in.refresh_token)

    with django_assert_num_queries(2):
        signed_in.refresh(signed_in.refresh_token)


def test_a_refresh_sets_no_indexed_column(signed_in):
    set_columns = re.findall(r"(\w+) =", compare_and_swap._ADVANCE)
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "accounts_refreshtoken")

    indexed = {
        name for constraint in constraints.values() if constraint["index"] for name in constraint["columns"]
    }
    assert len(set_columns) == 5
    assert indexed.isdisjoint(set_columns)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="heap-only tuples are PostgreSQL's")
def test_every_refresh_is_a_heap_only_tuple_update(signed_in):
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
        updates, heap_only_updates = cursor.fetchone()
    assert heap_only_updates == updates >= 20


def test_a_sign_in_costs_at_most_six_queries(api, django_assert_max_num_queries):
    make_user("alice", roles=("user", "admin"))
    api.sign_in("alice")

    with django_assert_max_num_queries(6):
        assert api.sign_in("alice").status_code == 200


def test_the_first_sign_in_from_a_network_costs_at_most_nine_queries(api, django_assert_max_num_queries):
    make_user("alice")

    with django_assert_max_num_queries(9):
        assert api.sign_in("alice").status_code == 200


def test_a_sign_in_that_upgrades_the_hash_costs_at_most_seven_queries(api, django_assert_max_num_queries):
    make_user("alice")
    api.sign_in("alice")
    User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    with django_assert_max_num_queries(7):
        assert api.sign_in("alice").status_code == 200


def test_a_malformed_token_costs_no_query(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        api.get("/api/test/user", "x.y.z")
