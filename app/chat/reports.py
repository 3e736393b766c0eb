"""Viewers telling the staff that something is wrong with a message. Owns the SQL of reports."""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat.events import Chat, Report, ReportClosed, Who, who
from app.chat.parts import Chat as ChatParts
from app.chat.store import unix_ms
from app.chat.targets import MessageId
from app.person import Person
from app.refusal import Refusal
from app.rooms.bus import staff_room

REPORTS_PER_HOUR_MAX: Final = 20
OPEN_MAX: Final = 200
REASON_LENGTH_MAX: Final = 200

_COUNT: Final = "SELECT count(*) FROM reports WHERE by_account_id = $1 AND at > now() - interval '1 hour'"
_INSERT: Final = """
INSERT INTO reports (id, show_id, message_id, author_id, by_account_id, reason) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING id
"""
_OPEN: Final = """
SELECT r.id, r.message_id, r.author_id, a.name AS author_name, r.by_account_id, b.name AS by_name, r.reason, r.at
FROM reports r JOIN accounts a ON a.id = r.author_id JOIN accounts b ON b.id = r.by_account_id
WHERE r.show_id = $1 AND r.closed_at IS NULL ORDER BY r.at LIMIT $2
"""
_CLOSE: Final = """
UPDATE reports SET closed_at = now(), closed_by = $3
WHERE show_id = $1 AND message_id = $2 AND closed_at IS NULL RETURNING id
"""


class MakeReport(msgspec.Struct, frozen=True):
    """chat.report"""  # noqa: D400, D415 - the command's name

    message: MessageId
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]


class CloseReports(msgspec.Struct, frozen=True):
    """report.close: all reports of one message."""

    message: MessageId


async def report(chat: ChatParts, show: str, person: Person, message: Chat, reason: str) -> Refusal | None:
    """Tells the staff about a message. A second word of the same person about it changes nothing."""
    if await chat.pg.fetchval(_COUNT, person.id) >= REPORTS_PER_HOUR_MAX:
        return Refusal("too_many_reports", "You have reported a lot in the last hour; the staff will see to it.")
    author, now_ms = Who(message.by.id, message.by.name), clock.now_ms()
    made = await chat.pg.fetchval(_INSERT, clock.new_id(), show, message.id, author.id, person.id, reason)
    if made is not None:
        told = Report(made, message.id, author, who(person), reason, now_ms)
        await chat.rooms.append(staff_room(show), told)
    return None


async def close_reports(chat: ChatParts, show: str, actor: Person, message: str) -> None:
    """Somebody has seen to the reports of a message."""
    if await chat.pg.fetch(_CLOSE, show, message, actor.id):
        await chat.rooms.append(staff_room(show), ReportClosed(message, who(actor)))


async def open_reports(pg: asyncpg.Pool, show: str) -> list[Report]:
    """What nobody has seen to yet, oldest first."""
    return [_report(row) for row in await pg.fetch(_OPEN, show, OPEN_MAX)]


def _report(row: Any) -> Report:
    author, by = Who(row["author_id"], row["author_name"]), Who(row["by_account_id"], row["by_name"])
    return Report(row["id"], row["message_id"], author, by, row["reason"], unix_ms(row["at"]))
