"""What becomes of a banned person's media sessions: they end. Owns nothing; has the shape of chat's BanListener."""

from collections.abc import Sequence

from app.refusal import Refusal
from app.streams.media_control import MediaControl


class BannedSessions:
    """Ends media sessions through the media role."""

    def __init__(self, media: MediaControl) -> None:
        self._media = media

    async def person_banned(self, person: str, shows: Sequence[str], shop: str | None) -> None:
        """Ends the person's sessions of these shows. Raises ConnectionError while the media role is away."""
        del shop  # every session is of a show
        for show in shows:
            ended = await self._media.end_sessions(show, person=person)
            if isinstance(ended, Refusal):
                raise ConnectionError(ended.message)
