"""What the catalog takes and answers over HTTP, and says in a room."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from app.money import AMOUNT_MINOR_MAX

VARIANTS_MAX: Final = 30
DESCRIPTION_LENGTH_MAX: Final = 4000
STOCK_ADD_MAX: Final = 1_000_000
PRODUCT_BYTES_MAX: Final = 64 * 1024

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, Meta(min_length=1, max_length=120)]
VariantTitle = Annotated[str, Meta(max_length=80)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH_MAX)]
PriceMinor = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
Units = Annotated[int, Meta(ge=0, le=STOCK_ADD_MAX)]
UnixMs = Annotated[int, Meta(ge=0, le=253_402_300_799_000)]  # until the year 9999
PhotoPath = Annotated[str, Meta(pattern="^/photos/[A-Za-z0-9_-]{1,64}$")]


class Discount(Struct, frozen=True, forbid_unknown_fields=True):
    """Percent or amount off every variant of a product: exactly one of the two. Unix times of the server's clock; null:
    from now on, until it is taken away.
    """

    percent: Annotated[int, Meta(ge=1, le=99)] | None = None
    amount_minor: PriceMinor | None = None
    starts_at_ms: UnixMs | None = None
    ends_at_ms: UnixMs | None = None


class Variant(Struct, frozen=True):
    """One thing that can be bought. `price_minor` is its list price. `on_hand` counts its ordinary pool; `pool` is
    what a hold names.
    """

    id: str
    title: str
    price_minor: int
    currency: str
    on_hand: int
    pool: str


class Product(Struct, frozen=True):
    """A product with its variants in their order."""

    id: str
    shop: str
    title: str
    description: str
    photo: str | None
    version: int
    variants: list[Variant]
    discount: Discount | None = None


class Products(Struct, frozen=True):
    """A shop's products, newest last."""

    products: list[Product]


class NewVariant(Struct, frozen=True, forbid_unknown_fields=True):
    """A variant to be; `stock` units come with it."""

    price_minor: PriceMinor
    stock: Units
    title: VariantTitle = ""


class NewProduct(Struct, frozen=True, forbid_unknown_fields=True):
    """A product to be."""

    shop: Id
    title: Title
    variants: Annotated[list[NewVariant], Meta(min_length=1, max_length=VARIANTS_MAX)]
    description: Description = ""
    photo: PhotoPath | None = None
    discount: Discount | None = None


class VariantEdit(Struct, frozen=True, forbid_unknown_fields=True):
    """A variant as it shall be: an existing one by its id, or a new one without. `stock_add` units come to it."""

    price_minor: PriceMinor
    title: VariantTitle = ""
    id: Id | None = None
    stock_add: Units = 0


class ProductEdit(Struct, frozen=True, forbid_unknown_fields=True):
    """A product as it shall be. Every variant that it has must be named."""

    title: Title
    variants: Annotated[list[VariantEdit], Meta(min_length=1, max_length=VARIANTS_MAX)]
    description: Description = ""
    photo: PhotoPath | None = None
    discount: Discount | None = None


class PhotoKept(Struct, frozen=True):
    """A photo after its upload."""

    photo: str
    id: str
