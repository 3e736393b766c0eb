"""Who may act on whom. Pure: standings in, yes or no out."""

from typing import Final

from app.person import Standing

TIMEOUT_S_MIN: Final = 10
TIMEOUT_S_MAX: Final = 14 * 24 * 60 * 60
REASON_LENGTH_MAX: Final = 200

_RANK: Final = {Standing.VIEWER: 0, Standing.MODERATOR: 1, Standing.LEAD: 2, Standing.HOST: 3}


def may_silence(actor: Standing, target: Standing) -> bool:
    """Only who stands higher: a moderator silences viewers, a lead moderators too, the host leads, nobody a host."""
    return _RANK[actor] > _RANK[target]


def may_delete(actor: Standing, author: Standing) -> bool:
    """Staff delete anybody's messages but those of who stands higher."""
    return actor is not Standing.VIEWER and _RANK[actor] >= _RANK[author]


UNDOABLE: Final = frozenset(
    {
        "timeout.set",
        "timeout.end",
        "ban.set",
        "ban.end",
        "warning.give",
        "modes.set",
        "shield.up",
        "shield.down",
        "terms.set",
        "notice.set",
        "notice.clear",
        "ticker.set",
        "replies.set",
        "answers.set",
        "person.watch",
        "question.close",
        "poll.start",
        "poll.end",
    }
)
"""Acts that can be taken back. A deleted text is gone, and what was let through was read."""


def may_undo(actor: Standing, author: Standing, *, own: bool) -> bool:
    """One's own acts, and those of who stands lower."""
    return actor is not Standing.VIEWER and (own or _RANK[actor] > _RANK[author])
