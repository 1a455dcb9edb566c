"""The API of the notes example. It accepts access tokens of the token service, and keeps notes in memory."""

import os
from collections import Counter
from itertools import count
from typing import Annotated

from authclient.fastapi import AccessTokenBearer, add_error_handlers
from authclient.verifier import AccessToken, Verifier
from fastapi import Depends, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel, Field

app = FastAPI(title="Notes")
add_error_handlers(app)
app.add_middleware(
    CORSMiddleware,
    allow_origins=[os.environ.get("PAGE_ORIGIN", "http://localhost:5173")],
    allow_methods=["GET", "POST", "DELETE"],
    allow_headers=["Authorization", "Content-Type"],
    max_age=600,
)

verifier = Verifier(os.environ.get("AUTH_URL", "http://localhost:8000"), audience="authproject")
signed_in = AccessTokenBearer(verifier)
User = Annotated[AccessToken, Depends(signed_in)]
MODERATOR = Depends(signed_in.with_roles("moderator"))
ADMIN = Depends(signed_in.with_roles("admin"))


class NewNote(BaseModel):
    """What a client sends."""

    text: Annotated[str, Field(min_length=1, max_length=200)]


class Note(NewNote):
    """What a client gets."""

    id: int
    author: str


notes: dict[int, Note] = {}
owners: dict[int, str] = {}
ids = count(1)


@app.get("/notes")
async def own_notes(user: User) -> list[Note]:
    """Return the user's notes, newest first."""
    return [note for note in reversed(notes.values()) if owners[note.id] == user.subject]


@app.post("/notes", status_code=201)
async def add_note(new: NewNote, user: User) -> Note:
    """Add a note of the user."""
    # The service includes the username with AUTH_PROFILE_CLAIMS=username. Only the subject never changes.
    author = user.claims.get("username", f"User {user.subject}")
    note = Note(id=next(ids), text=new.text, author=author)
    notes[note.id], owners[note.id] = note, user.subject
    return note


@app.get("/notes/all", dependencies=[MODERATOR])
async def all_notes() -> list[Note]:
    """Return the notes of all users, newest first. For moderators."""
    return list(reversed(notes.values()))


@app.delete("/notes/{note_id}", status_code=204, dependencies=[MODERATOR])
async def delete_note(note_id: int) -> None:
    """Delete a note. For moderators."""
    if notes.pop(note_id, None) is None:
        raise HTTPException(404)
    del owners[note_id]


@app.get("/statistics", dependencies=[ADMIN])
async def statistics() -> dict[str, object]:
    """Return how many notes each author has. For administrators."""
    authors = Counter(note.author for note in notes.values()).most_common()
    return {"notes": len(notes), "authors": [{"author": name, "notes": number} for name, number in authors]}
