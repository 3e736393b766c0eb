"""How it went with a letter, as both postmen say it."""

from enum import StrEnum


class Sent(StrEnum):
    """sent: somebody else answers for it now. later: nobody took it, ask again. refused: nobody ever will."""

    SENT = "sent"
    LATER = "later"
    REFUSED = "refused"
