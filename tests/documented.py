"""A test client that checks every API response against the OpenAPI document: its status and code must be listed."""

import re
from functools import cache

from django.conf import settings
from django.test import Client

from api.openapi.schema import document

UNDOCUMENTED_STATUSES = {404, 405, 500}
"""Statuses of unknown paths and methods, and of errors that a test provokes."""


class DocumentedClient(Client):
    def request(self, **request):
        response = super().request(**request)
        documented = _documented_responses(request["REQUEST_METHOD"].lower(), request["PATH_INFO"])
        if documented is not None and "/api/" in request["PATH_INFO"]:
            _assert_documented(response, documented)
        return response


def _assert_documented(response, documented):
    status = str(response.status_code)
    if status not in documented:
        assert response.status_code in UNDOCUMENTED_STATUSES, f"{status} is not documented: {response.content!r}"
        return
    schema = documented[status].get("content", {}).get("application/json", {}).get("schema", {})
    if "allOf" in schema:
        codes = schema["allOf"][1]["properties"]["code"]["enum"]
        assert response.json()["code"] in codes, response.content


def _documented_responses(method, path):
    for pattern, operations in _operations_by_path(settings.AUTH["missing_token_status"]):
        if pattern.fullmatch(path) and method in operations:
            return operations[method]["responses"]
    return None


@cache
def _operations_by_path(_missing_token_status):
    # Cached by the only setting that changes a status in the document. `refreshToken` is an alias of one path.
    return [
        (
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace("refreshtoken", "refresh[tT]oken")) + "/?"),
            operations,
        )
        for path, operations in document.__wrapped__()["paths"].items()
    ]
