"""Responses to errors in the form of the token service: `{message, code}`."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404
from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from authclient.refusals import Refused, TokenMissing


def render_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the response to an exception of a view, or None if it is unexpected.

    For REST framework's setting EXCEPTION_HANDLER. The messages of a ValidationError keep REST framework's form.
    """
    if isinstance(error, Refused):
        set_rollback()
        return Response(error.body, error.status, headers=error.headers)
    error = _unwrap(error)
    response = exception_handler(error, dict(context))
    if response is not None and isinstance(error, APIException) and isinstance(error.detail, str):
        response.data = _body(error)
    return response


def _unwrap(error: Exception) -> Exception:
    """Return the exception of REST framework that corresponds to one of Django, or the exception itself."""
    if isinstance(error, Http404):
        return NotFound(*error.args)
    return PermissionDenied(*error.args) if isinstance(error, DjangoPermissionDenied) else error


def _body(error: APIException) -> dict[str, Any]:
    if isinstance(error, NotAuthenticated):
        return TokenMissing().body
    return {"message": str(error.detail), "code": error.get_codes()}
