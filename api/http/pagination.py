"""Keyset pagination: each page starts where the previous one ended, with a `Link` to the next (RFC 8288)."""

from typing import Any, NamedTuple

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from api.http.parsers import refuse_repeated

PAGE_SIZE = 100


class Page(NamedTuple):
    """The rows of one page, and the response headers that link to the next page."""

    rows: list[Any]
    headers: dict[str, str]


def paginate(request: Request, query: type[Serializer[Any]], rows: QuerySet[Any]) -> Page:
    """Return the requested page of `rows`, which are ordered by primary key, newest first.

    `query` is the serializer that parses the key `before`. The link is relative, so that it does not repeat the
    Host header.

    Raises rest_framework.exceptions.ValidationError.
    """
    refuse_repeated(request.query_params, query().fields)
    # A plain dict, because in a QueryDict an empty value would count as missing.
    query_fields = query(data=request.query_params.dict())
    query_fields.is_valid(raise_exception=True)
    if "before" in query_fields.validated_data:
        rows = rows.filter(pk__lt=query_fields.validated_data["before"])
    page_rows = list(rows[: PAGE_SIZE + 1])
    if len(page_rows) <= PAGE_SIZE:
        return Page(page_rows, {})
    return Page(page_rows[:PAGE_SIZE], {"Link": f'<?before={page_rows[PAGE_SIZE - 1].pk}>; rel="next"'})
