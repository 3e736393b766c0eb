"""The hold under a payment that took its time: its own if it is alive, else a new one at the same price, else none.

Owns what becomes of a payment that came after its hold had ended. Safe to repeat, also side by side.
"""

from app.checkout.attempts import OpenAttempt, give_up, replace_hold
from app.checkout.order_rules import NO_ORDER
from app.checkout.parts import Checkout
from app.flash_sales.holds import refuse
from app.refusal import Refusal


async def abandon(checkout: Checkout, attempt: OpenAttempt) -> Refusal:
    """No order comes of it: its money is freed, its buyer told that the hold ended."""
    await give_up(checkout.pg, attempt.id, "hold_ended")
    checkout.outbox.kick()
    return NO_ORDER["hold_ended"]


async def hold_all_again(checkout: Checkout, attempt: OpenAttempt) -> list[str] | Refusal:
    """A living hold for each line."""
    holds = []
    for number in range(1, len(attempt.lines) + 1):
        found = await _hold_again(checkout, attempt, number)
        if isinstance(found, Refusal):
            return found
        holds.append(found)
    return holds


async def _hold_again(checkout: Checkout, attempt: OpenAttempt, number: int) -> str | Refusal:
    """The hold that a line of the payment stands on: its own if it is alive, else a new one at the same price."""
    line = attempt.lines[number - 1]
    own = await checkout.gate.read(line.hold)
    # Whatever attempt the gate has noted on it: Postgres lets only one be open on a hold, and that is this one.
    # Confirmed: somebody else has finished this payment meanwhile, and the commit will say so.
    if own.hold is not None and own.hold.state in {"held", "confirmed"}:
        return line.hold
    if own.code == "rebuilding":
        return refuse(own)
    # The key makes two settlers find the same new hold.
    taken = await checkout.gate.take(
        line.pool,
        person=attempt.person,
        key=f"payment:{attempt.id}" if number == 1 else f"payment:{attempt.id}:{number}",
        body=f"{line.quantity}",
        quantity=line.quantity,
        show=attempt.show,
        ttl_ms=checkout.settings.hold_ttl_s * 1000,
    )
    if taken.code == "rebuilding":
        return refuse(taken)
    if taken.hold is not None and taken.hold.state == "held" and taken.hold.price_minor == line.unit_price_minor:
        assert taken.result is not None
        epoch = taken.result.epoch
        expires_at_ms = taken.hold.expires_at_ms
        if await replace_hold(checkout.pg, attempt, number, hold=taken.id, expires_at_ms=expires_at_ms, epoch=epoch):
            return taken.id
        await checkout.gate.release(taken.id)  # the payment has ended meanwhile
    elif taken.hold is not None and taken.hold.state == "held":
        await checkout.gate.release(taken.id)
    return await abandon(checkout, attempt)
