"""Who may act on whom. Pure: standings in, yes or no out."""

from typing import Final

from app.person import Standing

TIMEOUT_S_MIN: Final = 10
TIMEOUT_S_MAX: Final = 14 * 24 * 60 * 60
REASON_LENGTH_MAX: Final = 200

_RANK: Final = {Standing.VIEWER: 0, Standing.MODERATOR: 1, Standing.HOST: 2}


def may_silence(actor: Standing, target: Standing) -> bool:
    """Only who stands higher: a moderator silences viewers, the host moderators too, nobody a host."""
    return _RANK[actor] > _RANK[target]


def may_delete(actor: Standing, author: Standing) -> bool:
    """Staff delete anybody's messages, a moderator all but a host's."""
    return actor is not Standing.VIEWER and _RANK[actor] >= _RANK[author]
