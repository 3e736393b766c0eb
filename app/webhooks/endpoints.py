"""What a shop's host does with webhooks: add, list, remove, change the secret, resume, look at deliveries, replay."""

import base64
from typing import Final

from app import clock
from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.webhooks import store
from app.webhooks.deliver import write_body
from app.webhooks.parts import Webhooks
from app.webhooks.views import Webhooks as WebhookList
from app.webhooks.views import WebhookWithSecret
from app.webhooks.webhook_rules import EVENT_TYPES, PING, check_url

_NO_WEBHOOK: Final = Refusal("not_found", "There is no such webhook.")
_NO_DELIVERY: Final = Refusal("not_found", "There is no such delivery.")


def new_secret() -> str:
    """A signing secret in the form of Standard Webhooks: `whsec_` and base64 of 43 bytes that carry 256 random bits."""
    return "whsec_" + base64.b64encode(clock.new_secret().encode()).decode()


async def add_webhook(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """Tells the URL from now on; the secret is shown this once."""
    refused = check_url(call.body.url, private=webhooks.target.private)
    if refused is not None:
        return refused
    unknown = sorted(set(call.body.events) - EVENT_TYPES)
    if unknown:
        return Refusal("unknown_event", f"There is no event {unknown[0]}; there are {', '.join(sorted(EVENT_TYPES))}.")
    secret, events = new_secret(), sorted(set(call.body.events))
    added = await store.add_endpoint(
        webhooks.pg, clock.new_id(), call.path["shop"], url=call.body.url, events=events, secret=secret
    )
    if added is None:
        return Refusal("too_many", f"A shop has {store.ENDPOINTS_MAX} webhooks at most.")
    return Reply(WebhookWithSecret(added, secret), status=201)


async def list_webhooks(webhooks: Webhooks, call: Call) -> Reply:
    """All of the shop."""
    return Reply(WebhookList(await store.list_endpoints(webhooks.pg, call.path["shop"]), sorted(EVENT_TYPES)))


async def remove_webhook(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """Tells the URL no more; what was told is forgotten."""
    removed = await store.remove_endpoint(webhooks.pg, call.path["shop"], call.path["webhook"])
    return Reply() if removed else _NO_WEBHOOK


async def rotate_secret(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """A new secret, shown this once; for a day both sign, so that nothing is missed while it is put in place."""
    secret = new_secret()
    found = await store.rotate_secret(webhooks.pg, call.path["shop"], call.path["webhook"], secret)
    return _NO_WEBHOOK if found is None else Reply(WebhookWithSecret(found, secret), status=201)


async def resume_webhook(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """Tells a suspended one again; what it missed can be replayed."""
    found = await store.resume_endpoint(webhooks.pg, call.path["shop"], call.path["webhook"])
    return _NO_WEBHOOK if found is None else Reply(found)


async def list_deliveries(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """The newest first, a page at a time."""
    before = call.request.query_params.get("before", "")
    if before and not (before.isascii() and before.isdecimal() and len(before) <= 18):
        return Refusal("malformed", "`before` is what the last page said.")
    found = await store.list_deliveries(
        webhooks.pg, call.path["shop"], call.path["webhook"], int(before) if before else None
    )
    return _NO_WEBHOOK if found is None else Reply(found)


async def replay_delivery(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """Sends the same bytes under the same id once more."""
    path = call.path
    found = await store.replay_delivery(webhooks.pg, path["shop"], path["webhook"], path["event"])
    return Reply(status=202) if found else _NO_DELIVERY


async def ping_webhook(webhooks: Webhooks, call: Call) -> Reply | Refusal:
    """Sends an event that means nothing, to see whether it arrives."""
    body = write_body(PING, call.now_ms, {"webhook": call.path["webhook"]})
    found = await store.add_ping(webhooks.pg, call.path["shop"], call.path["webhook"], PING, body)
    return _NO_WEBHOOK if found is None else Reply(status=202)
