"""A client that holds every answer it gets to the OpenAPI document: status and code must be written there."""

import re
from functools import cache

from django.conf import settings
from django.test import Client

from api.openapi.schema import document

ELSEWHERE = {404, 405, 500}
"""What may be answered where the document has no endpoint, or to a fault that a test makes."""


class DocumentedClient(Client):
    def request(self, **request):
        response = super().request(**request)
        described = _responses(request["REQUEST_METHOD"].lower(), request["PATH_INFO"])
        if described is not None and "/api/" in request["PATH_INFO"]:
            _assert_described(response, described)
        return response


def _assert_described(response, described):
    status = str(response.status_code)
    if status not in described:
        assert response.status_code in ELSEWHERE, f"{status} is not documented: {response.content!r}"
        return
    schema = described[status].get("content", {}).get("application/json", {}).get("schema", {})
    if "allOf" in schema:
        codes = schema["allOf"][1]["properties"]["code"]["enum"]
        assert response.json()["code"] in codes, response.content


def _responses(method, path):
    for pattern, operations in _paths(settings.AUTH["missing_token_status"]):
        if pattern.fullmatch(path) and method in operations:
            return operations[method]["responses"]
    return None


@cache
def _paths(_missing_token_status):
    # The one setting that moves a code to another status. One path goes by two spellings.
    return [
        (
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace("refreshtoken", "refresh[tT]oken")) + "/?"),
            operations,
        )
        for path, operations in document.__wrapped__()["paths"].items()
    ]
