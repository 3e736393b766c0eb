"""What the demo shop sells. Knows nothing of how it gets into the database."""

from collections.abc import Callable
from typing import Final

import msgspec

from app.catalog.views import NewVariant
from app.demo import pictures


class DemoProduct(msgspec.Struct, frozen=True):
    """A product, and the function that paints it."""

    title: str
    description: str
    paint: Callable[[], bytes]
    variants: list[NewVariant]


def _only(price_minor: int, stock: int) -> list[NewVariant]:
    return [NewVariant(price_minor=price_minor, stock=stock)]


def _each(price_minor: int, **stock: int) -> list[NewVariant]:
    return [NewVariant(price_minor=price_minor, stock=units, title=name) for name, units in stock.items()]


PRODUCTS: Final = [
    DemoProduct(
        "Stoneware mug",
        "Thrown by hand and glazed in one dip, so no two bands sit quite alike. Holds 350 ml and a whole morning.",
        pictures.mug,
        _each(2400, Terracotta=40, Slate=25),
    ),
    DemoProduct(
        "Halo table lamp",
        "A linen shade on turned brass. Dims from reading light to candlelight with one touch on the foot.",
        pictures.lamp,
        _only(8900, 15),
    ),
    DemoProduct(
        "Fjord scarf",
        "Two metres of lambswool, woven in stripes and brushed until it is as soft as it looks.",
        pictures.scarf,
        _each(4900, Teal=30, Moss=20, Plum=12),
    ),
    DemoProduct(
        "Quiet headphones",
        "Closed, light, and silent on a train. Forty hours on one charge, and ear pads that can be replaced.",
        pictures.headphones,
        _only(15900, 20),
    ),
    DemoProduct(
        "Trail backpack",
        "Waxed cotton, leather straps, room for a laptop and a picnic. Twenty litres.",
        pictures.backpack,
        _each(11900, Forest=18, Sand=10),
    ),
    DemoProduct(
        "Slow vase",
        "Porcelain, half dipped. Made for two stems at a time: more would be hurrying.",
        pictures.vase,
        _only(3900, 24),
    ),
    DemoProduct(
        "Cedar candle",
        "Rapeseed wax with cedar, clove and a little smoke. Burns for fifty hours; the glass is for keeping.",
        pictures.candle,
        _only(2900, 60),
    ),
    DemoProduct(
        "Dot notebook",
        "192 pages that lie flat, thread-bound, with a pencil that fits under the band.",
        pictures.notebook,
        _each(1900, Navy=80, Coral=45),
    ),
    DemoProduct(
        "Round teapot",
        "Pours without a drip, which took eleven tries. Six cups, with a strainer in the spout.",
        pictures.teapot,
        _only(5400, 16),
    ),
    DemoProduct(
        "Field watch",
        "Forty millimetres of steel, hands that read at a glance, and a strap that gets better with years.",
        pictures.watch,
        _each(18900, Brown=8, Black=8),
    ),
]
