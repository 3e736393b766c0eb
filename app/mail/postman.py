"""Who takes letters away: an SMTP server when one is configured, else a folder where they can be looked at.

Owns the choice. What is written in a letter is its sender's.
"""

from email.message import EmailMessage
from typing import Protocol

from app.mail.sent import Sent
from app.mail.smtp import Smtp
from app.mail.spool import Spool
from app.settings import Settings


class Postman(Protocol):
    """Takes one letter to its one recipient."""

    async def take(self, letter: EmailMessage, name: str) -> Sent:
        """How it went. `name` is the letter's own, the same for every try."""


def open_postman(settings: Settings) -> Postman:
    """Connects nothing."""
    return Spool(settings.data_dir / "mail") if settings.smtp is None else Smtp(settings.smtp)
