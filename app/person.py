"""Who is asking, as a value that every layer can carry: an account as the edge has proved it."""

from enum import StrEnum

import msgspec


class Standing(StrEnum):
    """What a person is in one show."""

    VIEWER = "viewer"
    MODERATOR = "moderator"
    LEAD = "lead"  # lead moderator
    HOST = "host"


class Person(msgspec.Struct, frozen=True):
    """A signed-in account. `session` is the public id of the sign-in session that proved it."""

    id: str
    name: str
    session: str = ""


class Right(StrEnum):
    """What a route or a command asks of the person, checked before its action runs.

    The scope comes from the request, in this order: `{show}`, `{product}` or `{shop}` in the path, then `show` or
    `shop` in the body, then `shop` in the query. On a room's socket it is that room's show.
    """

    ANYONE = "anyone"
    SIGNED_IN = "signed_in"
    SHOW_STAFF = "show_staff"  # moderator, lead moderator or host of the show
    SHOW_LEAD = "show_lead"  # lead moderator or host of the show
    SHOW_HOST = "show_host"
    SHOP_HOST = "shop_host"
    MEDIA_BEARER = "media_bearer"  # WHIP and WHEP: the action itself proves the bearer
