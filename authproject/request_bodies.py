"""Read the bodies of requests, within limits of length and time."""

import asyncio

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # re-exported silently

from api import defaults
from authproject.rejections import RequestRejected

BODY_TIMEOUT = 10  # seconds

_BROKEN_BODY = "The body is incomplete or malformed."


async def read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """Read the whole body, because half a form is not a form.

    Raises RequestRejected if the body is incomplete or malformed or does not arrive in time, and as soon as it is
    known to be too long.
    """
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_body(scope, protocol)
    except TimeoutError:
        raise RequestRejected(408, "The body did not arrive in time.") from None
    except ProtocolClosed:
        raise RequestRejected(400, _BROKEN_BODY) from None


async def _read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    # The server accepts numbers below 2^64 with any number of leading zeros; Python's int() limits the digits.
    announced = int(scope.headers.get("content-length", "").lstrip("0") or 0)
    max_length = _max_length(scope)
    _reject_too_long(announced, max_length)
    # With chunked encoding, Content-Length is meaningless (RFC 9112 section 6.1).
    if announced and "transfer-encoding" not in scope.headers:
        return await _read_at_once(protocol)
    return await _read_chunks(protocol, max_length)


async def _read_at_once(protocol: HTTPProtocol) -> bytes:
    # Reading in parts would wake the event loop for each part, which takes longer than reading them.
    body: bytes = await protocol()
    return body


async def _read_chunks(protocol: HTTPProtocol, max_length: int) -> bytes:
    body = bytearray()
    ends = 0
    async for chunk in protocol:
        body += chunk
        _reject_too_long(len(body), max_length)
        # The last chunk is empty, and so is one that could not be read: a broken body has two empty chunks.
        ends += not chunk
    if ends > 1:
        raise RequestRejected(400, _BROKEN_BODY)
    return bytes(body)


def _max_length(scope: Scope) -> int:
    """Return the length of the longest body, in bytes, that an endpoint takes."""
    longest: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    large: tuple[str, ...] | None = getattr(settings, "PATHS_WITH_LARGE_BODIES", None)
    if large is None:
        return longest  # a project that embeds the service and runs this server may take long bodies at any path
    # Whether the session exists is known only after the body is read. Without a cookie, it cannot exist.
    has_session = f"{settings.SESSION_COOKIE_NAME}=" in scope.headers.get("cookie", "")
    return longest if has_session and scope.path.startswith(large) else min(longest, defaults.MAX_BODY_SIZE)


def _reject_too_long(length: int, max_length: int) -> None:
    if length > max_length:
        raise RequestRejected(413, f"The body is too large. Allowed: {max_length} bytes.", "payload_too_large")
