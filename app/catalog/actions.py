"""What a host does with the catalog, and what everybody may read of it."""

from typing import Any, Final, TypeVar

import msgspec

from app.catalog.parts import Catalog
from app.catalog.photos import find_photo, keep_photo
from app.catalog.products import find_product, insert_product, products_of_shop, update_product
from app.catalog.text_rules import clean_description, clean_title
from app.catalog.views import (
    DESCRIPTION_LENGTH_MAX,
    Discount,
    NewProduct,
    PhotoKept,
    Product,
    ProductEdit,
    Products,
)
from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.storage.away import unless_away

Written = TypeVar("Written", NewProduct, ProductEdit)

_NO_PRODUCT: Final = Refusal("not_found", "There is no such product.")
_DISCOUNT: Final = Refusal(
    "price_invalid", "A discount is a percentage, or an amount below each variant's price, and ends after it starts."
)
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}

_SHOP_EXISTS: Final = "SELECT 1 FROM shops WHERE id = $1"


async def list_products(catalog: Catalog, call: Call) -> Reply | Refusal:
    """A shop's products."""
    shop = call.request.query_params.get("shop")
    if shop is None:
        return Refusal("malformed", "Say which shop: ?shop=….")
    if await catalog.pg.fetchval(_SHOP_EXISTS, shop) is None:
        return Refusal("not_found", "There is no such shop.")
    return Reply(Products(await products_of_shop(catalog.pg, shop)))


async def read_product(catalog: Catalog, call: Call) -> Reply | Refusal:
    """One product."""
    product = await find_product(catalog.pg, call.path["product"])
    return _NO_PRODUCT if product is None else Reply(product)


async def add_product(catalog: Catalog, call: Call) -> Reply | Refusal:
    """Adds a product to the shop and its stock to the gate."""
    new = _clean(call.body)
    if isinstance(new, Refusal):
        return new
    product = await insert_product(catalog.pg, new)
    if isinstance(product, Refusal):
        return product
    await _announce(catalog, product)
    return Reply(product, status=201)


async def edit_product(catalog: Catalog, call: Call) -> Reply | Refusal:
    """Changes a product; rooms that show it and the gate that sells it hear of it."""
    edit = _clean(call.body)
    if isinstance(edit, Refusal):
        return edit
    product = await update_product(catalog.pg, call.path["product"], edit)
    if isinstance(product, Refusal):
        return product
    await _announce(catalog, product)
    return Reply(product)


async def add_photo(catalog: Catalog, call: Call) -> Reply | Refusal:
    """Develops and keeps an upload."""
    photo = await catalog.darkroom.develop(call.body)
    if isinstance(photo, Refusal):
        return photo
    kept = await keep_photo(catalog.pg, call.request.query_params["shop"], photo)
    return kept if isinstance(kept, Refusal) else Reply(PhotoKept(f"/photos/{kept}", kept), status=201)


async def show_photo(catalog: Catalog, call: Call) -> Reply | Refusal:
    """A photo, to be kept by browsers for good."""
    photo = await find_photo(catalog.pg, call.path["photo"])
    if photo is None:
        return Refusal("not_found", "There is no such photo.")
    return Reply(photo.body, content_type=photo.content_type, headers=_IMMUTABLE)


def _clean(written: Written) -> Written | Refusal:
    """The host's words in the form in which they are kept."""
    title = clean_title(written.title)
    description = clean_description(written.description, DESCRIPTION_LENGTH_MAX)
    variants: list[Any] = []
    for variant in written.variants:
        name = clean_title(variant.title, 80) if variant.title.strip() else ""
        if isinstance(name, Refusal):
            return name
        variants.append(msgspec.structs.replace(variant, title=name))
    for text in (title, description):
        if isinstance(text, Refusal):
            return text
    if not discount_fits(written.discount, min(variant.price_minor for variant in written.variants)):
        return _DISCOUNT
    return msgspec.structs.replace(written, title=title, description=description, variants=variants)


def discount_fits(off: Discount | None, cheapest_minor: int) -> bool:
    """Percent or amount, not both; less off than the cheapest variant costs; an end after the start."""
    if off is None:
        return True
    if (off.percent is None) == (off.amount_minor is None) or (off.amount_minor or 0) >= cheapest_minor:
        return False
    return off.starts_at_ms is None or off.ends_at_ms is None or off.starts_at_ms < off.ends_at_ms


async def _announce(catalog: Catalog, product: Product) -> None:
    """Tells the gate and the rooms. When they are away the edit stands: their own loops find the difference."""
    pools = [variant.pool for variant in product.variants]
    for gate in catalog.stock_listeners:
        await unless_away("stock", gate.stock_changed(pools))
    for room in catalog.product_listeners:
        await unless_away("product", room.product_changed(product.id))
