"""Asking an address outside and waiting for its answer, where it is too late for a delivery that is tried again.

Chat's way out to a shop's reviewer: the same signatures and the same judgement of addresses as every delivery.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from app import clock
from app.refusal import Refusal
from app.webhooks.deliver import headers, write_body
from app.webhooks.endpoints import new_secret
from app.webhooks.parts import Webhooks
from app.webhooks.webhook_rules import check_url

QUESTION: str = "message.review"


class WebhookWayOut:
    """Implements chat's WayOut over the webhooks' target."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._target = webhooks.target

    def refuse(self, url: str) -> Refusal | None:
        """Why nobody at this address can be asked, as far as its text tells."""
        return check_url(url, private=self._target.private)

    def new_secret(self) -> str:
        """As an endpoint of webhooks has one."""
        return new_secret()

    async def ask(self, url: str, secret: str, question: Mapping[str, Any], limit_s: float) -> int | None:
        """One POST, never repeated."""
        now_ms = clock.now_ms()
        body = write_body(QUESTION, now_ms, dict(question))
        signed = headers(clock.new_id(), (secret,), now_ms, body)
        try:
            async with asyncio.timeout(limit_s):
                return (await self._target.post(url, signed, body.encode(), whose=url)).status
        except TimeoutError:
            return None
