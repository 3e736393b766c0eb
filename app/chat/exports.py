"""A show's chat and its log of moderation as CSV files, read portion by portion: never all of it at once.

Deleted messages are rows without their text; the log has each act's hash, so that the chain can be followed elsewhere.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from starlette.responses import Response, StreamingResponse

from app.chat.parts import Chat
from app.http.csv_rules import csv_row
from app.http.endpoint import Call, Endpoint
from app.person import Right
from app.refusal import Refusal

PORTION: Final = 500

CHAT_HEAD: Final = ("time", "message", "person", "name", "standing", "text", "answers", "deleted", "deleted by")
LOG_HEAD: Final = ("number", "time", "actor", "actor name", "act", "target", "target name", "message", "detail", "hash")

# After the row where the portion before ended ($2, $3; NULL for the first).
_MESSAGES: Final = """
SELECT m.id, m.account_id, m.name, m.standing, m.body, m.sent_at, m.reply_to, m.deleted_at, d.name AS deleted_by
FROM messages m LEFT JOIN accounts d ON d.id = m.deleted_by
WHERE m.show_id = $1 AND ($2::timestamptz IS NULL OR (m.sent_at, m.id) > ($2, $3))
ORDER BY m.sent_at, m.id LIMIT $4
"""
_ACTS: Final = """
SELECT m.n, m.at, m.actor_id, a.name AS actor_name, m.act, m.target_account_id, t.name AS target_name,
       m.target_message_id, m.detail, encode(m.hash, 'hex') AS hash
FROM moderation_acts m JOIN accounts a ON a.id = m.actor_id LEFT JOIN accounts t ON t.id = m.target_account_id
WHERE m.show_id = $1 AND m.n > $2 ORDER BY m.n LIMIT $3
"""


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="milliseconds")


def _message(row: Any) -> str:
    head = [_moment(row["sent_at"]), row["id"], row["account_id"], row["name"], row["standing"], row["body"]]
    return csv_row([*head, row["reply_to"] or "", _moment(row["deleted_at"]), row["deleted_by"] or ""])


def _act(row: Any) -> str:
    target = [row["target_account_id"] or "", row["target_name"] or "", row["target_message_id"] or ""]
    detail = msgspec.json.encode(row["detail"]).decode()
    head = [str(row["n"]), _moment(row["at"]), row["actor_id"], row["actor_name"], row["act"]]
    return csv_row([*head, *target, detail, row["hash"]])


async def csv_of_chat(pg: asyncpg.Pool, show: str, portion: int = PORTION) -> AsyncIterator[bytes]:
    """All that was said in the show, as far as it was copied, the oldest first."""
    yield csv_row(CHAT_HEAD).encode()
    after: tuple[Any, Any] = (None, None)
    while rows := await pg.fetch(_MESSAGES, show, *after, portion):
        yield "".join(_message(row) for row in rows).encode()
        after = rows[-1]["sent_at"], rows[-1]["id"]


async def csv_of_log(pg: asyncpg.Pool, show: str, portion: int = PORTION) -> AsyncIterator[bytes]:
    """All acts of moderation in the show, the oldest first. Numbers that are missing are other shows'."""
    yield csv_row(LOG_HEAD).encode()
    after = 0
    while rows := await pg.fetch(_ACTS, show, after, portion):
        yield "".join(_act(row) for row in rows).encode()
        after = rows[-1]["n"]


def _file(name: str, rows: AsyncIterator[bytes]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=headers)


def endpoints(parts: Chat) -> list[Endpoint]:
    """Both files, for the staff."""

    async def chat(call: Call) -> Response | Refusal:
        return _file("chat.csv", csv_of_chat(parts.pg, call.path["show"]))

    async def log(call: Call) -> Response | Refusal:
        return _file("log.csv", csv_of_log(parts.pg, call.path["show"]))

    files = [
        ("chat.csv", chat, "All that was said, as a table"),
        ("log.csv", log, "All acts of moderation, as a table"),
    ]
    return [
        Endpoint(
            method="GET",
            path=f"/api/shows/{{show}}/moderation/{name}",
            right=Right.SHOW_STAFF,
            action=action,
            summary=summary,
        )
        for name, action, summary in files
    ]
