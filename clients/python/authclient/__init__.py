"""Client of the token authentication service: authentication for httpx that refreshes tokens."""

from authclient.auth import Auth
from authclient.errors import AuthError
from authclient.stores import FileStore, MemoryStore, Session, Store

__all__ = ["Auth", "AuthError", "FileStore", "MemoryStore", "Session", "Store"]
