"""The root of every refusal that a person can put right, by which page, endpoints and shell know all of them."""

from __future__ import annotations

import zlib
from zipfile import BadZipFile

REFUSAL_CHARS = 1_000  # of what is said to a person, words of theirs that it repeats included


def in_short(refusal: str) -> str:
    """A refusal that repeats no more of what was given than a person reads, and nothing that cannot be sent."""
    sendable = refusal.encode("utf-8", "replace").decode()  # half a character cannot
    return sendable if len(sendable) <= REFUSAL_CHARS else f"{sendable[: REFUSAL_CHARS - 1]}…"


class Refused(Exception):
    """Something that was asked for and cannot be done; the message is one sentence: what, where, and the remedy."""

    def __str__(self) -> str:
        return in_short(super().__str__())


# The ways in which zipfile says of hostile bytes that they are no zip it can read.
NO_ZIP = (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, IndexError)
