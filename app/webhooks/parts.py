"""What the actions of webhooks need."""

from dataclasses import dataclass

import asyncpg

from app.settings import Settings
from app.webhooks.target import Target


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Made by `open_webhooks`."""

    pg: asyncpg.Pool
    target: Target


def open_webhooks(pg: asyncpg.Pool, settings: Settings) -> Webhooks:
    """Connects nothing and starts nothing. Close its target before Postgres."""
    return Webhooks(pg, Target(private=settings.webhooks_private, timeout_s=settings.webhook_timeout_s))
