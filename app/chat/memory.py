"""What chat tells rooms when they ask: the words and sanctions of a lost room, and a person's time left at a join."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from app.chat import store
from app.chat.parts import Chat
from app.person import Person

STORY_MAX: Final = 50


class ChatMemory:
    """Implements the rooms' StorySource, SanctionSource and MeSource over chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def story_of(self, show: str) -> Sequence[msgspec.Struct]:
        """The show's last messages that were not deleted."""
        return await store.last_messages(self._chat.pg, show, STORY_MAX)

    async def sanctions_of(self, show: str) -> Mapping[str, int | None]:
        """Who may not write, by Postgres."""
        return await store.sanctions_of(self._chat.pg, show)

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        """`timeout_ms`: the time left, null when the person may write; `banned` when there is no end to it."""
        muted = await self._chat.rooms.sanction_of(show, person.id)
        return {
            "timeout_ms": None if muted is None else muted.remaining_ms,
            "banned": bool(muted and muted.remaining_ms is None),
        }
