from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.conf import auth_settings


def start_page(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Lead a person who opens the service in a browser to its documentation."""
    if not auth_settings().start_page:
        raise Http404
    return redirect("docs")
