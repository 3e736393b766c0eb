"""What the routes of webhooks take and give."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from app.webhooks.webhook_rules import EVENT_TYPES, URL_LENGTH_MAX


class NewWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to tell about what."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_LENGTH_MAX)]
    events: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(min_length=1, max_length=len(EVENT_TYPES))]


class Webhook(Struct, frozen=True):
    """An endpoint of a shop. `state` is active or suspended; a suspended one is told nothing until it is resumed."""

    id: str
    url: str
    events: list[str]
    state: str
    failing_since: datetime | None
    created_at: datetime


class WebhookWithSecret(Struct, frozen=True):
    """An endpoint and the secret that signs, shown this once."""

    webhook: Webhook
    secret: str


class Webhooks(Struct, frozen=True):
    """A shop's endpoints, the oldest first, and all events that one may ask for."""

    webhooks: list[Webhook]
    event_types: list[str]


class Delivery(Struct, frozen=True):
    """One event on its way to one endpoint. `state`: pending, delivered or failed. `status`: the last answer's."""

    event: str
    type: str
    state: str
    tries: int
    status: int | None
    error: str | None
    at: datetime
    next_try_at: datetime | None


class Deliveries(Struct, frozen=True):
    """An endpoint's deliveries, the newest first; `before` asks for those that are older, null when there are none."""

    deliveries: list[Delivery]
    before: str | None
