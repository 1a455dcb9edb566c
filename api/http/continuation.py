"""The page to which a browser returns after the hosted pages: an authorization request, in their parameter `next`.

Only the path of the authorization endpoint is followed, so that a link to a hosted page leads nowhere else.

An authorization request may ask for a new sign-in, also if the browser is signed in. So that the request that is
repeated after the sign-in does not ask again, `next` has a signed time, `asked`, at which it did.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.core import signing
from django.http import HttpRequest, QueryDict
from django.urls import reverse

_ASKED = "asked"
_MAX_LENGTH = 16 * 1024
_LIFETIME = timedelta(hours=1)
_SINGLE_USE_PROMPTS = frozenset({"select_account"})


def read(request: HttpRequest) -> str:
    """Return the `next` of a hosted page, or an empty string if it has none that is followed."""
    path = request.GET.get("next", "")
    is_followed = path.startswith(f"{reverse('authorize')}?") and len(path) <= _MAX_LENGTH
    return path if is_followed and path.isascii() and path.isprintable() else ""


def query_of(path: str) -> QueryDict:
    """Return the parameters of `next`.

    Raises django.core.exceptions.TooManyFieldsSent.
    """
    return QueryDict(path.partition("?")[2])


def add_to(path: str, following: str) -> str:
    """Return the path of a hosted page that leads on to `following`, which may be empty."""
    return f"{path}?{urlencode({'next': following})}" if following else path


def ui_locales(*parameters: QueryDict) -> list[str]:
    """Return the languages that an application asks for (OpenID Connect Core section 3.1.2.1)."""
    return [tag for each in parameters for tag in each.get("ui_locales", "").split()]


def with_time_of_asking(parameters: QueryDict, now: datetime) -> str:
    """Return the `next` that repeats an authorization request which asks for a sign-in now."""
    microseconds = str(int(now.timestamp() * 1_000_000))
    query = _query_without(parameters, _ASKED)
    asked = urlencode({_ASKED: _signer(query).sign(microseconds)})
    return f"{reverse('authorize')}?{query}&{asked}"


def time_of_asking(parameters: QueryDict, now: datetime) -> datetime | None:
    """Return when an authorization request that is repeated asked for a sign-in, or None if it did not."""
    signed = parameters.get(_ASKED)
    if not signed:
        return None
    try:
        text = _signer(_query_without(parameters, _ASKED)).unsign(signed)
    except signing.BadSignature:
        return None
    asked = datetime.fromtimestamp(int(text) / 1_000_000, UTC)
    return asked if now - asked <= _LIFETIME else None


def after_choice(path: str) -> str:
    """Return the `next` of a user who has chosen to go on with the account that is signed in."""
    parameters = query_of(path).copy()
    parameters.pop(_ASKED, None)
    prompts = [word for word in parameters.get("prompt", "").split() if word not in _SINGLE_USE_PROMPTS]
    parameters["prompt"] = " ".join(prompts)
    if not prompts:
        del parameters["prompt"]
    return f"{reverse('authorize')}?{parameters.urlencode()}"


def _query_without(parameters: QueryDict, name: str) -> str:
    return urlencode([(each, value) for each, values in parameters.lists() if each != name for value in values])


def _signer(query: str) -> signing.Signer:
    # Bound to the request, so that one application's request does not answer another's.
    return signing.Signer(salt=f"api.continuation {query}")
