"""The demo's seed on a real Postgres."""

import io

import asyncpg
from PIL import Image

from app.demo.presence import is_live
from app.demo.products import PRODUCTS
from app.demo.seed import seed_demo


async def facts(connection: asyncpg.Connection) -> dict[str, int]:
    return dict(
        await connection.fetchrow("""
            SELECT (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM photos) AS photos,
                   (SELECT count(*) FROM lineup WHERE show_id = 'demo') AS lineup,
                   (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM pools) AS pools
        """)
    )


async def test_seeding_twice_and_after_half_a_seeding_leaves_one_demo(pg, pg_url):
    await seed_demo(pg_url)
    async with pg.acquire() as connection:
        once = await facts(connection)
        await connection.execute("DELETE FROM lineup")
        await connection.execute("DELETE FROM show_moderators")
        await connection.execute("DELETE FROM shows")  # as if it had been killed before the last step
    await seed_demo(pg_url)
    async with pg.acquire() as connection:
        assert await facts(connection) == once
        assert await is_live(connection)
        assert once["products"] == once["lineup"] == len(PRODUCTS) >= 8
        pinned = await connection.fetchval("""
            SELECT p.title FROM shows s JOIN products p ON p.id = s.pinned_product_id WHERE s.id = 'demo'
        """)
        assert pinned == PRODUCTS[0].title
        photos = [bytes(row["body"]) for row in await connection.fetch("SELECT body FROM photos")]
    assert len(set(photos)) == len(PRODUCTS), "two products look alike"
    assert {Image.open(io.BytesIO(photo)).format for photo in photos} == {"WEBP"}


async def test_a_demo_show_that_was_ended_is_live_again(pg, pg_url):
    await seed_demo(pg_url)
    await pg.execute("UPDATE shows SET state = 'ended', ended_at = now(), pinned_product_id = NULL WHERE id = 'demo'")
    async with pg.acquire() as connection:
        assert await is_live(connection)
    row = await pg.fetchrow("SELECT state, pinned_product_id FROM shows WHERE id = 'demo'")
    assert row["state"] == "live"
    assert row["pinned_product_id"] is not None
