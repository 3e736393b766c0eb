"""The doors of the catalog: its routes. It has no command on the socket and no loop."""

from functools import partial

from app.catalog import actions, campaign_edge
from app.catalog.parts import Catalog
from app.catalog.photos import UPLOAD_BYTES_MAX, UPLOAD_TYPES
from app.catalog.views import PRODUCT_BYTES_MAX, NewProduct, PhotoKept, Product, ProductEdit, Products
from app.http.endpoint import Endpoint
from app.person import Right


def endpoints(parts: Catalog) -> list[Endpoint]:
    """The routes of the catalog."""
    return [
        Endpoint(
            method="GET",
            path="/api/products",
            right=Right.ANYONE,
            action=partial(actions.list_products, parts),
            summary="A shop's products",
            answer=Products,
            query=("shop",),
        ),
        Endpoint(
            method="POST",
            path="/api/products",
            right=Right.SHOP_HOST,
            action=partial(actions.add_product, parts),
            summary="Add a product",
            body=NewProduct,
            answer=Product,
            body_bytes_max=PRODUCT_BYTES_MAX,
        ),
        Endpoint(
            method="GET",
            path="/api/products/{product}",
            right=Right.ANYONE,
            action=partial(actions.read_product, parts),
            summary="One product",
            answer=Product,
        ),
        Endpoint(
            method="PUT",
            path="/api/products/{product}",
            right=Right.SHOP_HOST,
            action=partial(actions.edit_product, parts),
            summary="Change a product, add stock",
            body=ProductEdit,
            answer=Product,
            body_bytes_max=PRODUCT_BYTES_MAX,
        ),
        Endpoint(
            method="POST",
            path="/api/photos",
            right=Right.SHOP_HOST,
            action=partial(actions.add_photo, parts),
            summary="Upload a photo",
            body=bytes,
            answer=PhotoKept,
            query=("shop",),
            body_bytes_max=UPLOAD_BYTES_MAX,
            content_types=UPLOAD_TYPES,
        ),
        Endpoint(
            method="GET",
            path="/photos/{photo}",
            right=Right.ANYONE,
            action=partial(actions.show_photo, parts),
            summary="A photo",
        ),
        *campaign_edge.endpoints(parts),
    ]
