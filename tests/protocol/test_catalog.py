"""Products, stock and photos over HTTP."""

import asyncio
import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app import clock
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.register import create_shop
from app.catalog import edge
from app.catalog.parts import Catalog
from app.http.edge import build_asgi, build_routes
from tests.protocol.callers import Caller, accounts_over, problem, somebody


class Ears:
    """A listener that remembers what it was told."""

    def __init__(self):
        self.pools: list[str] = []
        self.products: list[str] = []
        self.away = False

    async def stock_changed(self, pools):
        if self.away:
            raise ConnectionRefusedError
        self.pools += pools

    async def product_changed(self, product):
        self.products.append(product)


class Market:
    """A shop with its host, over real stores."""

    def __init__(self, app, accounts, ears, host, shop):
        self.app, self.accounts, self.ears, self.host, self.shop = app, accounts, ears, host, shop

    def product(self, **change):
        variants = [
            {"title": "red", "price_minor": 1990, "stock": 5},
            {"title": "blue", "price_minor": 2490, "stock": 0},
        ]
        return {"shop": self.shop, "title": "Tea pot", "description": "For tea.", "variants": variants, **change}

    async def added(self, **change):
        answer = await self.host.post("/api/products", self.product(**change))
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture
async def market(pg, valkey):
    accounts = accounts_over(pg, valkey)
    ears = Ears()
    catalog = Catalog(pg=pg, stock_listeners=(ears,), product_listeners=(ears,))
    app = build_asgi(build_routes(edge.endpoints(catalog), AccountsGatekeeper(accounts), accounts.settings))
    host = await somebody(app, accounts, clock.new_id())
    shop = await create_shop(pg, name="Shop", currency="EUR", host=host.account)
    yield Market(app, accounts, ears, host, shop)
    catalog.darkroom.close()
    accounts.passwords.close()


async def books_balance(pg) -> bool:
    """Units received = what all pools of the variant were allotted."""
    return not await pg.fetchval(
        "SELECT count(*) FROM variants v"
        " WHERE received <> (SELECT sum(allotment) FROM pools o WHERE o.variant_id = v.id)"
    )


def edit_of(product, **change):
    variants = [{name: one[name] for name in ("id", "title", "price_minor")} for one in product["variants"]]
    edit = {name: product[name] for name in ("title", "description", "photo")}
    return {**edit, "variants": variants, **change}


async def test_a_new_product_has_its_variants_in_order_with_pools_and_stock(market, pg):
    product = await market.added()
    assert [(one["title"], one["price_minor"], one["on_hand"]) for one in product["variants"]] == [
        ("red", 1990, 5),
        ("blue", 2490, 0),
    ]
    assert {one["currency"] for one in product["variants"]} == {"EUR"}
    assert sorted(market.ears.pools) == sorted(one["pool"] for one in product["variants"])
    assert (await Caller(market.app).get(f"/api/products/{product['id']}")).json() == product
    listed = (await Caller(market.app).get(f"/api/products?shop={market.shop}")).json()
    assert listed == {"products": [product]}
    assert await books_balance(pg)


async def test_editing_changes_words_prices_and_adds_stock_and_variants(market, pg):
    product = await market.added()
    edit = edit_of(product, title="Big tea pot")
    edit["variants"].reverse()
    edit["variants"][1].update(price_minor=1490, stock_add=7)
    edit["variants"].append({"title": "green", "price_minor": 3000, "stock_add": 2})
    answer = await market.host.ask("PUT", f"/api/products/{product['id']}", edit)
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert changed["title"] == "Big tea pot"
    assert changed["version"] == product["version"] + 1
    assert [(one["title"], one["price_minor"], one["on_hand"]) for one in changed["variants"]] == [
        ("blue", 2490, 0),
        ("red", 1490, 12),
        ("green", 3000, 2),
    ]
    assert market.ears.products[-1] == product["id"]
    assert await books_balance(pg)


async def test_an_edit_that_names_the_wrong_variants_changes_nothing(market):
    product, other = await market.added(), await market.added()
    edits = [edit_of(product) for _ in range(3)]
    edits[0]["variants"].pop()
    edits[1]["variants"][0]["id"] = other["variants"][0]["id"]
    edits[2]["variants"].append(edits[2]["variants"][0])
    for edit in edits:
        edit["title"] = "Changed"
        answer = await market.host.ask("PUT", f"/api/products/{product['id']}", edit)
        assert problem(answer) == (400, "unknown_variant")
    assert (await market.host.get(f"/api/products/{product['id']}")).json() == product


async def test_stock_cannot_outgrow_its_count(market):
    product = await market.added()
    edit = edit_of(product)
    edit["variants"][0]["stock_add"] = 1_000_000
    statuses = set()
    while "stock_limit" not in statuses:
        answer = await market.host.ask("PUT", f"/api/products/{product['id']}", edit)
        statuses.add(answer.json().get("code", answer.status_code))
        assert statuses <= {200, "stock_limit"}


async def test_edits_that_come_at_once_lose_no_unit(market, pg):
    product = await market.added()
    edit = edit_of(product)
    edit["variants"][0]["stock_add"] = 1
    path = f"/api/products/{product['id']}"
    answers = await asyncio.gather(*(market.host.ask("PUT", path, edit) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    changed = (await market.host.get(path)).json()
    assert changed["variants"][0]["on_hand"] == 5 + 12
    assert changed["version"] == product["version"] + 12
    assert await books_balance(pg)


async def test_an_edit_stands_when_the_gate_is_away(market):
    market.ears.away = True
    product = await market.added()
    assert (await market.host.get(f"/api/products/{product['id']}")).json() == product


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"variants": []}, (400, "malformed")),
        ({"variants": [{"price_minor": 0, "stock": 1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": -5, "stock": 1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": 9.5, "stock": 1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": True, "stock": 1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": 10**13, "stock": 1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": 10, "stock": -1}]}, (400, "malformed")),
        ({"variants": [{"price_minor": 10, "stock": 10**30}]}, (400, "malformed")),
        ({"variants": [{"price_minor": 10, "stock": 1, "currency": "USD"}]}, (400, "unknown_field")),
        ({"title": ""}, (400, "malformed")),
        ({"title": "\u202e"}, (400, "text_invalid")),
        ({"title": "a\x00b"}, (400, "malformed")),
        ({"title": 5}, (400, "malformed")),
        ({"description": "x" * 5000}, (400, "malformed")),
        ({"photo": "/photos/nothing"}, (400, "unknown_photo")),
        ({"photo": "https://evil.example/x.png"}, (400, "malformed")),
        ({"shop": "nowhere"}, (404, "not_found")),
        ({"version": 5}, (400, "unknown_field")),
    ],
)
async def test_bad_products_are_refused_and_change_nothing(market, change, refused):
    answer = await market.host.post("/api/products", market.product(**change))
    assert problem(answer) == refused
    assert (await market.host.get(f"/api/products?shop={market.shop}")).json() == {"products": []}


async def test_a_price_in_thousandths_that_no_card_could_pay_is_refused_where_it_is_set(market, pg):
    await pg.execute("UPDATE shops SET currency = 'KWD' WHERE id = $1", market.shop)
    for wrong in ({"variants": [{"price_minor": 1995, "stock": 1}]}, {"discount": {"amount_minor": 15}}):
        answer = await market.host.post("/api/products", market.product(**wrong))
        assert problem(answer) == (400, "price_invalid")
    product = await market.added()
    edit = edit_of(product)
    edit["variants"][0]["price_minor"] = 1991
    answer = await market.host.ask("PUT", f"/api/products/{product['id']}", edit)
    assert problem(answer) == (400, "price_invalid")
    assert (await market.host.get(f"/api/products/{product['id']}")).json() == product


async def test_unknown_products_shops_and_photos_are_404(market):
    for path in ("/api/products/nothing", "/api/products?shop=nothing", "/photos/nothing", "/api/products/%00"):
        assert problem(await Caller(market.app).get(path)) == (404, "not_found")
    assert problem(await Caller(market.app).get("/api/products")) == (400, "malformed")


def picture(kind: str, size=(800, 600), **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(out, kind, **options)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims a picture of that size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\x00" * 1000)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


async def upload(market, raw: bytes, kind="image/jpeg"):
    return await market.host.ask("POST", f"/api/photos?shop={market.shop}", content=raw, headers={"Content-Type": kind})


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_photo_is_encoded_anew_without_its_metadata(market, kind):
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    options = {"exif": exif}
    if kind == "PNG":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_text("Comment", "SECRETCAMERA")
    raw = picture(kind, (3000, 2000), **options)
    assert b"SECRETCAMERA" in raw
    answer = await upload(market, raw + b"<script>SECRETTAIL</script>", f"image/{kind.lower()}")
    assert answer.status_code == 201, answer.text
    shown = await Caller(market.app).get(answer.json()["photo"])
    assert shown.headers["content-type"] == "image/webp"
    assert "immutable" in shown.headers["cache-control"]
    assert b"SECRET" not in shown.content
    assert Image.open(io.BytesIO(shown.content)).size == (1280, 853)
    product = await market.added(photo=answer.json()["photo"])
    assert product["photo"] == answer.json()["photo"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a",
        b"<svg/>",
        picture("JPEG")[:200],
        picture("PNG")[:60],
        picture("GIF"),
        png_that_claims(60_000, 60_000),
        png_that_claims(4000, 4000),
    ],
    ids=range(8),
)
async def test_what_is_no_picture_or_a_bomb_is_refused(market, raw):
    assert problem(await upload(market, raw)) == (400, "photo_invalid")


async def test_a_sound_picture_with_too_many_pixels_is_refused_before_it_is_unpacked(market):
    out = io.BytesIO()
    Image.new("1", (6000, 4500)).save(out, "PNG")
    assert len(out.getvalue()) < 100_000
    answer = await upload(market, out.getvalue(), "image/png")
    assert problem(answer) == (400, "photo_invalid")
    assert "24 megapixels" in answer.json()["detail"]


async def test_uploads_have_a_type_a_size_and_a_shop(market):
    assert problem(await upload(market, picture("JPEG"), "image/svg+xml")) == (415, "content_type")
    assert problem(await upload(market, b"\xff" * (5 * 1024 * 1024 + 1))) == (413, "too_large")
    jpeg = {"Content-Type": "image/jpeg"}
    answer = await market.host.ask("POST", "/api/photos", content=picture("JPEG"), headers=jpeg)
    assert problem(answer) == (400, "malformed")
    answer = await market.host.ask("POST", "/api/photos?shop=nowhere", content=picture("JPEG"), headers=jpeg)
    assert problem(answer) == (404, "not_found")


async def test_another_shops_photo_cannot_be_used(market, pg):
    host = await somebody(market.app, market.accounts, clock.new_id())
    shop = await create_shop(pg, name="Other", currency="EUR", host=host.account)
    theirs = (await upload(market, picture("JPEG"))).json()["photo"]
    answer = await host.post("/api/products", {**market.product(photo=theirs), "shop": shop})
    assert problem(answer) == (400, "unknown_photo")


async def test_a_discount_is_part_of_a_product_and_one_that_leaves_no_price_is_refused(market):
    half = {"percent": 50, "amount_minor": None, "starts_at_ms": None, "ends_at_ms": None}
    product = await market.added(discount={"percent": 50})
    assert product["discount"] == half
    path = f"/api/products/{product['id']}"
    window = {"percent": None, "amount_minor": 1989, "starts_at_ms": 5, "ends_at_ms": 1_900_000_000_001}
    edited = await market.host.ask("PUT", path, edit_of(product, discount=window))
    assert edited.json()["discount"] == window
    for wrong in ({**window, "amount_minor": 1990}, {"percent": 5, "amount_minor": 5}, {}):
        assert problem(await market.host.ask("PUT", path, edit_of(product, discount=wrong)))[1] == "price_invalid"
    for wrong in ({"percent": 0}, {"percent": 100}, {"percent": 1.5}, {"percent": True}, {"ends_at_ms": 2**60}):
        assert (await market.host.ask("PUT", path, edit_of(product, discount=wrong))).status_code in {400, 422}
    assert (await market.host.ask("PUT", path, edit_of(product))).json()["discount"] is None


async def test_a_campaign_is_made_listed_and_ended_by_the_host_of_its_shop(market):
    product = await market.added()
    body = {"shop": market.shop, "name": "Tea week", "percent_off": 20, "ends_at_ms": clock.now_ms() + 60_000}
    made = (await market.host.post("/api/campaigns", body | {"products": [product["id"]]})).json()
    assert (made["state"], made["products"]) == ("running", [product["id"]])
    assert problem(await market.host.post("/api/campaigns", body | {"products": ["nothing"]}))[1] == "unknown_product"
    of_shop = f"/api/campaigns?shop={market.shop}"
    assert (await market.host.get(of_shop)).json() == {"campaigns": [made]}
    ended = await market.host.post(f"/api/campaigns/{made['id']}/end?shop={market.shop}")
    assert (ended.status_code, ended.json()["state"]) == (200, "over")
    stranger = await somebody(market.app, market.accounts, clock.new_id())
    assert (await stranger.get(of_shop)).status_code == 403
