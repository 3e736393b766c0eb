"""The doors of webhooks: their routes and loops."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal
from app.webhooks import deliver
from app.webhooks import endpoints as actions
from app.webhooks.parts import Webhooks
from app.webhooks.views import Deliveries, NewWebhook, Webhook, WebhookWithSecret
from app.webhooks.views import Webhooks as WebhookList

_ALL = "/api/shops/{shop}/webhooks"
_ONE = _ALL + "/{webhook}"

loops = deliver.loops


def endpoints(parts: Webhooks) -> list[Endpoint]:
    """The routes of webhooks."""

    def hosts(
        method: str,
        path: str,
        action: Callable[[Webhooks, Call], Awaitable[Reply | Refusal]],
        summary: str,
        **types: Any,
    ) -> Endpoint:
        return Endpoint(
            method=method, path=path, right=Right.SHOP_HOST, action=partial(action, parts), summary=summary, **types
        )

    return [
        hosts("GET", _ALL, actions.list_webhooks, "The shop's webhooks", answer=WebhookList),
        hosts("POST", _ALL, actions.add_webhook, "Add a webhook", body=NewWebhook, answer=WebhookWithSecret),
        hosts("DELETE", _ONE, actions.remove_webhook, "Remove a webhook"),
        hosts("POST", _ONE + "/secret", actions.rotate_secret, "Make a new secret", answer=WebhookWithSecret),
        hosts("POST", _ONE + "/resume", actions.resume_webhook, "Resume a suspended webhook", answer=Webhook),
        hosts("POST", _ONE + "/ping", actions.ping_webhook, "Send a test event"),
        hosts("GET", _ONE + "/deliveries", actions.list_deliveries, "Deliveries to a webhook", answer=Deliveries),
        hosts("POST", _ONE + "/deliveries/{event}/replay", actions.replay_delivery, "Deliver an event again"),
    ]
