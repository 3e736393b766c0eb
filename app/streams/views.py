"""What streams takes and answers over HTTP, and says in a room."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.catalog.views import Product

LINEUP_MAX: Final = 200

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, Meta(min_length=1, max_length=120)]
Moment = Annotated[datetime, Meta(tz=True)]


class ShopOfShow(Struct, frozen=True):
    """The shop that gives the show."""

    id: str
    name: str
    currency: str


class Show(Struct, frozen=True):
    """A show as the asker sees it. In lists it comes without its line-up."""

    id: str
    shop: ShopOfShow
    title: str
    state: str
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    pinned: str | None
    standing: str
    viewers: int
    lineup: list[Product] | UnsetType = UNSET


class Shows(Struct, frozen=True):
    """Live shows first, then those to come, then the past."""

    shows: list[Show]


class NewShow(Struct, frozen=True, forbid_unknown_fields=True):
    """A show to be."""

    shop: Id
    title: Title
    scheduled_at: Moment | None = None


class ShowEdit(Struct, frozen=True, forbid_unknown_fields=True):
    """What shall change; scheduled_at null takes the plan away."""

    title: Title | UnsetType = UNSET
    scheduled_at: Moment | UnsetType | None = UNSET


class Lineup(Struct, frozen=True, forbid_unknown_fields=True):
    """The products of the show, in the order in which they shall come."""

    products: Annotated[list[Id], Meta(max_length=LINEUP_MAX)]


class Pin(Struct, frozen=True, forbid_unknown_fields=True):
    """The product to pin."""

    product: Id


class NewStreamKey(Struct, frozen=True):
    """A fresh key, shown this once."""

    whip_url: str
    key: str
    hint: str


class StreamKeyHint(Struct, frozen=True):
    """Where to send the stream, and the last characters of the key that does it."""

    whip_url: str
    hint: str | None


class Named(Struct, frozen=True):
    """A person as others see them."""

    id: str
    name: str


class Moderator(Struct, frozen=True):
    """Somebody who was appointed. `everywhere`: for all shows of the shop."""

    id: str
    name: str
    lead: bool
    everywhere: bool


class Moderators(Struct, frozen=True):
    """Who moderates the show by appointment."""

    moderators: list[Moderator]


class Appointment(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to appoint: by name or by address; as lead moderator, and for all shows of the shop, or not."""

    name: Annotated[str, Meta(max_length=254)] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    lead: bool = False
    everywhere: bool = False


class ShowKey(Struct, frozen=True):
    """The room's state key `show`."""

    title: str
    state: str
    started_at_ms: int | None


class PinnedProduct(Struct, frozen=True):
    """A product as a pin event names it."""

    id: str
    title: str


class ShowEvent(Struct, frozen=True, tag_field="t", tag="show"):
    """The show changed its state."""

    state: str
    at: int


class PinEvent(Struct, frozen=True, tag_field="t", tag="pin"):
    """A product was pinned, or (null) none is any more."""

    product: PinnedProduct | None
    at: int


class ActEvent(Struct, frozen=True, tag_field="t", tag="act"):
    """To the staff: who of them did what."""

    actor: Named
    act: str
    target: Named | None
    at: int
