"""What accounts takes and answers over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.accounts.passwords import PASSWORD_LENGTH_MAX

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, Meta(max_length=254)]
Password = Annotated[str, Meta(max_length=PASSWORD_LENGTH_MAX)]
DemoRole = Literal["host", "moderator", "viewer"]


class Named(Struct, frozen=True):
    """A person as others see them."""

    id: str
    name: str


class ShopRole(Struct, frozen=True):
    """A shop that the person serves in."""

    id: str
    name: str
    currency: str
    role: str


class Moderated(Struct, frozen=True):
    """A show that the person moderates."""

    show: str
    title: str


class Session(Struct, frozen=True):
    """Who the browser is signed in as, and where they may act. Anonymous: person and csrf are null."""

    person: Named | None
    csrf: str | None
    demo: bool
    shops: list[ShopRole]
    moderates: list[Moderated]


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Either an address with its password, or a demo role."""

    email: Text | None = None
    password: Password | None = None
    demo: DemoRole | None = None


class SignUp(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    name: Text
    email: Text
    password: Password


class TicketFor(Struct, frozen=True, forbid_unknown_fields=True):
    """The show whose socket the ticket is for."""

    show: Id


class Ticket(Struct, frozen=True):
    """A single-use ticket, sent as ?ticket= when the socket opens."""

    ticket: str
    expires_in_ms: int
