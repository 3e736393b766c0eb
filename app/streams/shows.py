"""What a host does with a show, and what everybody may read of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import UNSET

from app import clock
from app.catalog.products import products_of_lineup
from app.catalog.text_rules import clean_title
from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.rooms.presence import viewers_of
from app.storage.away import unless_away
from app.streams.announce import announce, close_show
from app.streams.parts import Streams
from app.streams.show_rules import IllegalShowAct, ShowAct, ShowState, may_be_planned, next_state
from app.streams.show_store import ShowRow, find_show, insert_show, list_shows, lock_show, set_plan, set_state
from app.streams.views import NewShow, ShopOfShow, Show, ShowEdit, ShowEvent, Shows

NO_SHOW: Final = Refusal("not_found", "There is no such show.")
ENDED: Final = Refusal("show_ended", "The show is over.")
_BAD_PLAN: Final = Refusal("malformed", "Plan a show for some time within the next two years.")


def _view(row: ShowRow, viewers: Mapping[str, int]) -> Show:
    return Show(
        id=row.id,
        shop=ShopOfShow(row.shop_id, row.shop_name, row.currency),
        title=row.title,
        state=row.state,
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        pinned=row.pinned,
        standing=row.standing,
        viewers=viewers.get(row.id, 0),
    )


async def view_show(streams: Streams, show: str, account: str | None, status: int = 200) -> Reply | Refusal:
    """The show with its line-up, as the account (None: anybody) sees it."""
    row = await find_show(streams.pg, show, account)
    if row is None:
        return NO_SHOW
    view = _view(row, await viewers_of(streams.valkey, [show]))
    return Reply(msgspec.structs.replace(view, lineup=await products_of_lineup(streams.pg, show)), status=status)


async def read_show(streams: Streams, call: Call) -> Reply | Refusal:
    """One show."""
    return await view_show(streams, call.path["show"], None if call.person is None else call.person.id)


async def read_shows(streams: Streams, call: Call) -> Reply:
    """The shows of the home page."""
    rows = await list_shows(streams.pg, None if call.person is None else call.person.id)
    viewers = await viewers_of(streams.valkey, [row.id for row in rows if row.state != ShowState.ENDED])
    return Reply(Shows([_view(row, viewers) for row in rows]))


async def create_show(streams: Streams, call: Call) -> Reply | Refusal:
    """Makes a show, scheduled."""
    new: NewShow = call.body
    title = clean_title(new.title)
    if isinstance(title, Refusal):
        return title
    if new.scheduled_at is not None and not may_be_planned(new.scheduled_at, _now(call)):
        return _BAD_PLAN
    show = clock.new_id()
    if not await insert_show(streams.pg, show=show, shop=new.shop, title=title, scheduled_at=new.scheduled_at):
        return Refusal("too_many", "The shop has too many shows that have not ended.")
    return await view_show(streams, show, call.signed_in.id, 201)


async def edit_show(streams: Streams, call: Call) -> Reply | Refusal:
    """Changes title and plan; the room hears the new title."""
    edit: ShowEdit = call.body
    show = call.path["show"]
    title = UNSET if edit.title is UNSET else clean_title(edit.title)
    if isinstance(title, Refusal):
        return title
    if isinstance(edit.scheduled_at, datetime) and not may_be_planned(edit.scheduled_at, _now(call)):
        return _BAD_PLAN
    async with streams.pg.acquire() as connection, connection.transaction():
        locked = await lock_show(connection, show)
        if locked is None:
            return NO_SHOW
        if locked.state is ShowState.ENDED:
            return ENDED
        plan = locked.scheduled_at if edit.scheduled_at is UNSET else edit.scheduled_at
        await set_plan(connection, show, locked.title if title is UNSET else title, plan)
    await announce(streams, show)
    return await view_show(streams, show, call.signed_in.id)


async def act_on_show(streams: Streams, act: ShowAct, call: Call) -> Reply | Refusal:
    """Starts, pauses, resumes or ends a show; the room hears of it, and an end ends sales and media too."""
    show = call.path["show"]
    async with streams.pg.acquire() as connection, connection.transaction():
        locked = await lock_show(connection, show)
        if locked is None:
            return NO_SHOW
        try:
            state = next_state(locked.state, act)
        except IllegalShowAct as illegal:
            return Refusal("show_state", str(illegal))
        await set_state(connection, show, state)
    await announce(streams, show, ShowEvent(state.value, call.now_ms))
    if state is ShowState.ENDED:
        await unless_away("end of the show", close_show(streams, show))
    return await view_show(streams, show, call.signed_in.id)


def _now(call: Call) -> datetime:
    return datetime.fromtimestamp(call.now_ms / 1000, UTC)
