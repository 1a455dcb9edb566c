"""Client of the token authentication service: authentication for httpx that refreshes tokens."""

from authclient.auth import Auth
from authclient.errors import AuthError
from authclient.second_factor import Challenge, SecondFactorRequired
from authclient.stores import FileStore, MemoryStore, Session, Store

__all__ = [
    "Auth",
    "AuthError",
    "Challenge",
    "FileStore",
    "MemoryStore",
    "SecondFactorRequired",
    "Session",
    "Store",
]
