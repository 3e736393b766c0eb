"""What is published of a waiting room's draw. Owns the shape that `verify-draw` reads; the draw is draw_rules.py's."""

from typing import Final

import msgspec

from app.flash_sales import draw_store, sale_store
from app.flash_sales.draw_rules import draw_fault
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal

_NO_DRAW: Final = Refusal("not_found", "There is no such sale with a waiting room in this show.")


class Draw(msgspec.Struct, frozen=True):
    """A draw as anybody may check it. `order` has the entries of those who came before the start, in the order in
    which they are served; it is empty, and `seed` and `crowd`, the hash of the entries, are None until the draw has
    been made. Hexadecimal.
    """

    sale: str
    commitment: str
    seed: str | None
    order: list[str]
    crowd: str | None = None


async def read_draw(sales: FlashSales, show: str, sale: str) -> Draw | Refusal:
    """The draw of a sale of this show."""
    row = await sale_store.read_sale(sales.pg, show, sale)
    if row is None or row.view.commitment is None:
        return _NO_DRAW
    if row.view.seed is None:
        return Draw(sale=sale, commitment=row.view.commitment, seed=None, order=[])
    order = await draw_store.drawn_entries(sales.pg, row.view.pool)
    crowd = await draw_store.drawn_crowd(sales.pg, sale)
    return Draw(sale, row.view.commitment, row.view.seed, order, None if crowd is None else crowd.hex())


def check_draw(
    published: bytes, commitment: str | None = None, entry: str | None = None, crowd: str | None = None
) -> str:
    """What a correct draw is, in one sentence. ValueError says what is wrong with the draw, or with its JSON.

    `commitment` is the hash that the room said before the start and `crowd` the one of the entries that it said with
    the draw, for whoever kept them; `entry` is the asker's own: without that hash, an order from which somebody was
    left out is the seed's order of the others.
    """
    draw = msgspec.json.decode(published, type=Draw)
    commitment, crowd = commitment or draw.commitment, crowd or draw.crowd
    fault = draw_fault(commitment=commitment, seed_hex=draw.seed, entries=draw.order, crowd=crowd)
    if fault is not None:
        raise ValueError(fault)
    if entry is not None and entry not in draw.order:
        raise ValueError(f"Entry {entry} is not among the {len(draw.order)} that were drawn.")
    own = "" if entry is None else f" Entry {entry} is number {draw.order.index(entry) + 1}."
    return f"The draw of sale {draw.sale} is right: {len(draw.order)} entries in the order that the seed gives.{own}"
