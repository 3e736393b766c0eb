"""Whom somebody does not want to read: a list that its owner alone sees and edits. Pages leave those lines out."""

from typing import Final

import msgspec

from app.chat.events import Who
from app.chat.parts import Chat
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

BLOCKS_MAX: Final = 500

_LIST: Final = """
SELECT a.id, a.name FROM blocks b JOIN accounts a ON a.id = b.account_id WHERE b.owner_id = $1
ORDER BY b.created_at, a.id
"""
_COUNT: Final = "SELECT count(*) FROM blocks WHERE owner_id = $1"
_ADD: Final = """
INSERT INTO blocks (owner_id, account_id) SELECT $1, id FROM accounts WHERE id = $2 AND id <> $1 ON CONFLICT DO NOTHING
"""
_REMOVE: Final = "DELETE FROM blocks WHERE owner_id = $1 AND account_id = $2"


class Blocks(msgspec.Struct, frozen=True):
    """A person's own block list."""

    people: list[Who]


def endpoints(parts: Chat) -> list[Endpoint]:
    """Reading and editing one's own list."""

    async def listed(owner: str) -> Reply:
        return Reply(Blocks([Who(row["id"], row["name"]) for row in await parts.pg.fetch(_LIST, owner)]))

    async def read(call: Call) -> Reply | Refusal:
        return await listed(call.signed_in.id)

    async def add(call: Call) -> Reply | Refusal:
        owner = call.signed_in.id
        if await parts.pg.fetchval(_COUNT, owner) >= BLOCKS_MAX:
            return Refusal("too_many", f"You can mute {BLOCKS_MAX} people at most.")
        await parts.pg.execute(_ADD, owner, call.path["account"])
        return await listed(owner)

    async def remove(call: Call) -> Reply | Refusal:
        await parts.pg.execute(_REMOVE, call.signed_in.id, call.path["account"])
        return await listed(call.signed_in.id)

    doings = [
        ("GET", "/api/blocks", read, "Whom one does not want to read"),
        ("PUT", "/api/blocks/{account}", add, "Mute somebody for oneself"),
        ("DELETE", "/api/blocks/{account}", remove, "Read somebody again"),
    ]
    return [
        Endpoint(method=method, path=path, right=Right.SIGNED_IN, action=action, summary=summary, answer=Blocks)
        for method, path, action, summary in doings
    ]
