"""What accounts' actions need, put together once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import asyncpg
from redis.asyncio import Redis

from app.accounts.hints import Hints, hint_key
from app.accounts.leaving import SignOutListener
from app.accounts.passwords import Passwords
from app.accounts.sessions import Sessions
from app.rooms.bus import Rooms
from app.rooms.crowd import Crowd
from app.settings import Settings


@dataclass(frozen=True)
class Accounts:
    """The parts of accounts. `close()` the passwords when the process ends."""

    pg: asyncpg.Pool
    valkey: Redis
    settings: Settings
    sessions: Sessions
    passwords: Passwords
    hints: Hints
    crowd: Crowd = field(default_factory=Crowd)  # the sockets that tickets of this process lead to
    rooms: Rooms | None = None  # None: a process without rooms, as the command line
    sign_out_listeners: Sequence[SignOutListener] = ()


def build_accounts(
    pg: asyncpg.Pool,
    valkey: Redis,
    settings: Settings,
    rooms: Rooms | None = None,
    sign_out_listeners: Sequence[SignOutListener] = (),
) -> Accounts:
    """Accounts over the given stores, with an empty session cache."""
    return Accounts(
        pg=pg,
        valkey=valkey,
        settings=settings,
        sessions=Sessions(pg),
        passwords=Passwords(),
        hints=Hints(pg, partial(hint_key, settings)),
        rooms=rooms,
        sign_out_listeners=sign_out_listeners,
    )
