"""Letters into a folder, one file each, for machines without a mail server. Keeps the newest LETTERS_MAX.

A letter that is taken twice is one file: its name is the letter's.
"""

import asyncio
import os
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from app.mail.sent import Sent

LETTERS_MAX: Final = 1000


class Spool:
    """The folder is made with the first letter, for our user alone: there are addresses in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def take(self, letter: EmailMessage, name: str) -> Sent:
        """Always sent, or an OSError."""
        await asyncio.to_thread(self._write, letter.as_bytes(), name)
        return Sent.SENT

    def _write(self, body: bytes, name: str) -> None:
        assert name.replace("-", "").isalnum(), name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole, part = self.folder / f"{name}.eml", self.folder / f"{name}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            file.write(body)
        part.replace(whole)
        letters = sorted(self.folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        for old in letters[:-LETTERS_MAX]:
            old.unlink(missing_ok=True)
