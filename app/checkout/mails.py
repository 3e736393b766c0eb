"""Letters to buyers: noted in the transaction of what happened or from its note, sent from the outbox, each once.

Once as far as SMTP can promise: a letter that a server took is marked as sent right after; who dies in between sends
it again, under the same Message-ID. Tries end after GIVEN_UP_AFTER_H, and at once when the letter is refused for good.
Accounts without an address are written nothing.
"""

from typing import Any, Final

import asyncpg
import structlog

from app.checkout.conditions import policy_text
from app.checkout.letter_rules import Occasion, write_letter
from app.checkout.orders import read_order
from app.mail.postman import Postman
from app.mail.sent import Sent
from app.settings import Settings

GIVEN_UP_AFTER_H: Final = 72

log = structlog.get_logger()

# $1: the kind. Notes each letter once, and has it sent.
_NOTE: Final = """
    WITH wanted AS (
        SELECT $1 || '-' || o.id AS id, o.id AS order_id, o.id AS subject
          FROM orders o JOIN accounts a ON a.id = o.account_id AND a.email_folded IS NOT NULL
         WHERE o.id = $2 AND $1 <> 'refunded'
        UNION ALL
        SELECT $1 || '-' || r.id, r.order_id, r.id
          FROM refunds r JOIN orders o ON o.id = r.order_id
          JOIN accounts a ON a.id = o.account_id AND a.email_folded IS NOT NULL
         WHERE r.order_id = $2 AND r.state = 'done' AND $1 = 'refunded'
    ), noted AS (
        INSERT INTO mails (id, order_id, kind, subject)
        SELECT id, order_id, $1, subject FROM wanted ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO outbox (topic, subject) SELECT 'mail', id FROM noted"""

_READ: Final = """
    SELECT m.order_id, m.kind, m.created_at, m.created_at < now() - make_interval(hours => $2) AS old,
           coalesce((SELECT r.amount_minor FROM refunds r WHERE r.id = m.subject), 0) AS refund_minor
      FROM mails m WHERE m.id = $1 AND m.state = 'waiting'"""

_DECIDE: Final = "UPDATE mails SET state = $2, decided_at = now() WHERE id = $1 AND state = 'waiting'"


async def note_mail(pg: Any, kind: str, order: str) -> None:
    """Has the order's buyer written to, once per order and kind, or per refund. `pg` is a pool or a connection."""
    await pg.execute(_NOTE, kind, order)


async def send_mail(pg: asyncpg.Pool, postman: Postman, settings: Settings, mail: str) -> bool:
    """An effect of the outbox: True when the letter is sent, or never will be."""
    row = await pg.fetchrow(_READ, mail, GIVEN_UP_AFTER_H)
    if row is None:
        return True  # a repeated note
    found = await read_order(pg, row["order_id"])
    assert found is not None
    sums = found.view.charges
    occasion = Occasion(
        kind=row["kind"],
        order=found.view,
        shop=found.shop_name,
        buyer=found.buyer_name,
        email=found.email,
        at=row["created_at"],
        page=f"{settings.public_url or settings.base_url}/orders/{found.view.id}",
        refund_minor=row["refund_minor"],
        policy="" if sums is None else await policy_text(pg, found.view.shop, sums.policy_version),
    )
    letter = write_letter(occasion, sender=settings.mail_from, name=mail)
    if letter is None:
        log.warning("mail.no_address", letter=mail)
        await pg.execute(_DECIDE, mail, "refused")
        return True
    sent = await postman.take(letter, mail)
    if sent is Sent.LATER and not row["old"]:
        return False
    await pg.execute(_DECIDE, mail, "given_up" if sent is Sent.LATER else sent)
    return True
