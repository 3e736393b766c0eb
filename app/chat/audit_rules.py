"""The chain of the log of moderation: what each act's hash is made of, and where a log does not fit it. Pure.

An act's hash is SHA-256 over the hash of the act before it and the act's own words, each word with its length in
bytes. The database writes it (migration 0014_audit.sql); computing it here again proves that nobody rewrote an act.
Numbers are given out by the first act of a database on; a gap is an act that somebody took out.
"""

import hashlib
from collections.abc import Iterable

import msgspec


class LoggedAct(msgspec.Struct, frozen=True):
    """A row of the log. `detail` is the JSON as Postgres writes it, `at_us` Unix microseconds."""

    n: int
    show: str
    actor: str
    act: str
    target: str
    message: str
    detail: str
    at_us: int
    hash: bytes


class Broken(msgspec.Struct, frozen=True):
    """The first act that does not fit."""

    n: int
    why: str


def hash_of(before: bytes, act: LoggedAct) -> bytes:
    """The hash that the act must have when `before` is that of the act before it (empty for the first)."""
    words = (str(act.n), act.show, act.actor, act.act, act.target, act.message, act.detail, str(act.at_us))
    text = b"".join(b"%d:%b" % (len(word.encode()), word.encode()) for word in words)
    return hashlib.sha256(before + text).digest()


class Chain:
    """Reads a log from its beginning, in portions: `end` is the hash so far, `broken` where it first did not fit,
    `has_seen` whether the known hash came by. A log that lost its last acts fits; a hash noted elsewhere tells.
    """

    def __init__(self, known_hash: str = "") -> None:
        self._known_hash = known_hash.lower()
        self.has_seen = False
        self.length = 0
        self.last_n = 0
        self.end = b""
        self.broken: Broken | None = None

    def read(self, acts: Iterable[LoggedAct]) -> None:
        """Takes in the next acts, in the order of their numbers."""
        for act in acts:
            if self.broken is not None:
                return
            if act.n != self.last_n + 1:
                self.broken = Broken(act.n, f"the act before it should be {act.n - 1} and is {self.last_n}")
            elif hash_of(self.end, act) != act.hash:
                self.broken = Broken(act.n, "its hash does not fit its words and the act before it")
            self.length, self.last_n, self.end = self.length + 1, act.n, act.hash
            self.has_seen = self.has_seen or act.hash.hex() == self._known_hash
