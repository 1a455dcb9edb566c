"""Keeps an httpx client signed in to the token authentication service."""

from authclient.auth import Auth
from authclient.errors import AuthError
from authclient.stores import FileStore, MemoryStore, Session, Store

__all__ = ["Auth", "AuthError", "FileStore", "MemoryStore", "Session", "Store"]
