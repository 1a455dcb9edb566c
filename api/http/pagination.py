"""Long lists: a page at a time, each beginning where the one before it ended (RFC 8288 for the way on)."""

from typing import Any, NamedTuple

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.serializers import Serializer

PAGE_SIZE = 100


class Page(NamedTuple):
    """The rows of one page, and the headers that say where the next begins."""

    rows: list[Any]
    headers: dict[str, str]


def paginate(request: Request, query: type[Serializer[Any]], rows: QuerySet[Any]) -> Page:
    """Cut the page that a request asks for out of rows that are ordered by key, newest first.

    `query` reads the key `before` in its type. The link is relative to the request: it repeats no Host header.

    Raises rest_framework.exceptions.ValidationError.
    """
    # As JSON would be read: an empty text is no key, and is not left out either.
    query_fields = query(data=request.query_params.dict())
    query_fields.is_valid(raise_exception=True)
    if "before" in query_fields.validated_data:
        rows = rows.filter(pk__lt=query_fields.validated_data["before"])
    page_rows = list(rows[: PAGE_SIZE + 1])
    if len(page_rows) <= PAGE_SIZE:
        return Page(page_rows, {})
    return Page(page_rows[:PAGE_SIZE], {"Link": f'<?before={page_rows[PAGE_SIZE - 1].pk}>; rel="next"'})
