"""What a show's staff can do in its chat: commands of the room's socket, and over HTTP what a page loads at once."""

from typing import Any

from app.accounts.standing import standing as standing_of
from app.chat import question_store
from app.chat.acts import acts_of
from app.chat.bans import EndBan, SetBan, end_ban, set_ban
from app.chat.evasion import CloseEvasion, close_evasion, open_evasions
from app.chat.held import Decide, decide
from app.chat.held_store import waiting_in
from app.chat.messages import Delete, DeleteMany, delete, delete_many, find_said
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.notices import ClearNotice, SetNotice, pinned, set_notice, written
from app.chat.parts import Chat
from app.chat.people import PersonCard, person_card
from app.chat.purges import ClearRoom, DeleteOf, delete_of, purge
from app.chat.questions import as_held
from app.chat.reports import CloseReports, close_reports, open_reports
from app.chat.rulebooks import read_room, read_watched
from app.chat.talk_edge import signed_in
from app.chat.ticker import SetTicker, set_ticker
from app.chat.timeouts import EndTimeout, SetTimeout, TimedOut, end_timeout, set_timeout
from app.chat.unbans import open_requests
from app.chat.undo import Undo, undo
from app.chat.views import Acts, Desk, act_view
from app.chat.warnings import GiveWarning, warn
from app.chat.watching import Watch, watch
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right, Standing
from app.refusal import Refusal
from app.rooms.command import Command, Order

ACTS_MAX = 200
LEAD_OPS = frozenset({"chat.clear"})
"""What moderators may not do, since nobody can undo it and it is about everybody."""


def commands(parts: Chat) -> list[Command]:
    """The commands of the staff."""
    return [
        Command(op=op, right=Right.SHOW_LEAD if op in LEAD_OPS else Right.SHOW_STAFF, body=body, action=action)
        for op, body, action in (*_about_messages(parts), *_about_people(parts), *_about_rooms(parts))
    ]


def _about_messages(parts: Chat) -> list[Any]:
    async def chat_delete(order: Order) -> Any:
        return await delete(parts, order.show, signed_in(order), order.standing, order.body.message)

    async def chat_delete_many(order: Order) -> Any:
        return await delete_many(parts, order.show, signed_in(order), order.standing, order.body.messages)

    async def chat_delete_of(order: Order) -> Any:
        return await delete_of(parts, order.show, signed_in(order), order.standing, order.body.account)

    async def chat_clear(order: Order) -> None:
        await purge(parts, order.show, signed_in(order), None)

    async def held_approve(order: Order) -> Any:
        return await decide(parts, order.show, signed_in(order), order.body.message, approved=True)

    async def held_deny(order: Order) -> Any:
        return await decide(parts, order.show, signed_in(order), order.body.message, approved=False)

    async def report_close(order: Order) -> None:
        await close_reports(parts, order.show, signed_in(order), order.body.message)

    return [
        ("chat.delete", Delete, chat_delete),
        ("chat.delete_many", DeleteMany, chat_delete_many),
        ("chat.delete_of", DeleteOf, chat_delete_of),
        ("chat.clear", ClearRoom, chat_clear),
        ("held.approve", Decide, held_approve),
        ("held.deny", Decide, held_deny),
        ("report.close", CloseReports, report_close),
    ]


def _about_people(parts: Chat) -> list[Any]:
    async def timeout_set(order: Order) -> Any:
        return await set_timeout(parts, order.show, signed_in(order), order.standing, order.body)

    async def timeout_end(order: Order) -> Any:
        return await end_timeout(parts, order.show, signed_in(order), order.standing, order.body.account)

    async def ban_set(order: Order) -> Any:
        return await set_ban(parts, order.show, signed_in(order), order.standing, order.body)

    async def ban_end(order: Order) -> Any:
        return await end_ban(parts, order.show, signed_in(order), order.standing, order.body)

    async def undo_act(order: Order) -> Any:
        return await undo(parts, order.show, signed_in(order), order.standing, order.body.act)

    async def person_watch(order: Order) -> Any:
        return await watch(parts, order.show, signed_in(order), order.standing, order.body)

    async def evasion_close(order: Order) -> None:
        await close_evasion(parts, order.show, signed_in(order), order.body.account)

    async def warning_give(order: Order) -> Any:
        return await warn(parts, order.show, signed_in(order), order.standing, order.body)

    return [
        ("timeout.set", SetTimeout, timeout_set),
        ("timeout.end", EndTimeout, timeout_end),
        ("ban.set", SetBan, ban_set),
        ("ban.end", EndBan, ban_end),
        ("warning.give", GiveWarning, warning_give),
        ("person.watch", Watch, person_watch),
        ("evasion.close", CloseEvasion, evasion_close),
        ("undo", Undo, undo_act),
    ]


def _about_rooms(parts: Chat) -> list[Any]:
    async def modes_set(order: Order) -> Any:
        return await set_modes(parts, order.show, signed_in(order), order.body)

    async def terms_set(order: Order) -> Any:
        return await set_terms(parts, order.show, signed_in(order), order.body)

    async def notice_set(order: Order) -> Any:
        body, actor = order.body, signed_in(order)
        if (body.text is None) == (body.message is None):
            return Refusal("malformed", "Give either a text or a message.")
        if body.message is None:
            notice = written(body.text, actor, order.now_ms)
        else:
            message = await find_said(parts, order.show, body.message)
            if message is None:
                return Refusal("not_found", "There is no such message.")
            notice = pinned(message, actor, order.now_ms)
        if isinstance(notice, Refusal):
            return notice
        return await set_notice(parts, order.show, actor, notice, order.now_ms)

    async def ticker_set(order: Order) -> Any:
        return await set_ticker(parts, order.show, signed_in(order), order.body)

    async def notice_clear(order: Order) -> None:
        await set_notice(parts, order.show, signed_in(order), None, order.now_ms)

    return [
        ("modes.set", SetModes, modes_set),
        ("terms.set", SetTerms, terms_set),
        ("notice.set", SetNotice, notice_set),
        ("notice.clear", ClearNotice, notice_clear),
        ("ticker.set", SetTicker, ticker_set),
    ]


BASE = "/api/shows/{show}/moderation"


def endpoints(parts: Chat) -> list[Endpoint]:
    """The moderation routes."""
    return [*_readings(parts), *_doings(parts)]


def _readings(parts: Chat) -> list[Endpoint]:
    async def list_acts(call: Call) -> Reply | Refusal:
        rows = await acts_of(parts.pg, call.path["show"], ACTS_MAX)
        return Reply(Acts([act_view(row) for row in rows]))

    async def show_desk(call: Call) -> Reply | Refusal:
        show = call.path["show"]
        room = await read_room(parts.pg, show)
        held, reports = await waiting_in(parts.pg, show), await open_reports(parts.pg, show)
        asked = [as_held(row) for row in await question_store.held(parts.pg, show)]
        unbans = await open_requests(parts.pg, show)
        watched = await read_watched(parts.pg, show)
        suspected = await open_evasions(parts.pg, show)
        return Reply(Desk(room.modes, room.terms, room.notice, held, reports, asked, unbans, watched, suspected))

    async def show_person(call: Call) -> Reply | Refusal:
        card = await person_card(parts, call.path["show"], call.path["account"])
        return card if isinstance(card, Refusal) else Reply(card)

    readings = [
        ("", show_desk, "Modes, terms, and what waits for a moderator", Desk),
        ("/acts", list_acts, "Who did what to whom", Acts),
        ("/people/{account}", show_person, "One person in this show", PersonCard),
    ]
    return [
        Endpoint(method="GET", path=BASE + path, right=Right.SHOW_STAFF, action=action, summary=summary, answer=answer)
        for path, action, summary, answer in readings
    ]


def _doings(parts: Chat) -> list[Endpoint]:
    async def staff_standing(call: Call) -> Standing:
        return await standing_of(parts.pg, call.path["show"], call.signed_in) or Standing.VIEWER

    async def delete_message(call: Call) -> Reply | Refusal:
        show, message = call.path["show"], call.path["message"]
        refusal = await delete(parts, show, call.signed_in, await staff_standing(call), message)
        return refusal or Reply(status=204)

    async def add_timeout(call: Call) -> Reply | Refusal:
        answer = await set_timeout(parts, call.path["show"], call.signed_in, await staff_standing(call), call.body)
        return answer if isinstance(answer, Refusal) else Reply(answer, status=201)

    async def delete_timeout(call: Call) -> Reply | Refusal:
        show, account = call.path["show"], call.path["account"]
        refusal = await end_timeout(parts, show, call.signed_in, await staff_standing(call), account)
        return refusal or Reply(status=204)

    doings = [
        ("DELETE", "/messages/{message}", delete_message, "Delete a message", None, None),
        ("POST", "/timeouts", add_timeout, "Time a person out", SetTimeout, TimedOut),
        ("DELETE", "/timeouts/{account}", delete_timeout, "Let a person write again", None, None),
    ]
    return [
        Endpoint(
            method=method,
            path=BASE + path,
            right=Right.SHOW_STAFF,
            action=action,
            summary=summary,
            body=body,
            answer=answer,
        )
        for method, path, action, summary, body, answer in doings
    ]
