"""Text of people stays text, wherever a page shows it: a corpus of markup and scripts, stored and then looked at.

Whatever would run sets `window.broken`, and whatever would become an element has `data-made`. What only the page's
policy would have stopped is a fault too: the window's console is listened to.
"""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect
from redis.asyncio import Redis

from tests.journeys.browser import PLAYER_ASKS, open_window
from tests.journeys.people import Viewer

FILE = Path(__file__).parent / "markup_corpus.txt"
CORPUS = [line for line in FILE.read_text().splitlines() if not line.startswith("## ")]

# $1 all texts. Each is somebody's name, message, question, held message, report, and the reason of a warning.
_PLANT = """
WITH t AS (SELECT body, 'x' || n AS id, n FROM unnest($1::text[]) WITH ORDINALITY AS t (body, n)),
people AS (INSERT INTO accounts (id, name, name_folded) SELECT id, left(body, 40), id FROM t),
said AS (
    INSERT INTO messages (id, show_id, epoch, off, account_id, name, standing, body, sent_at)
    SELECT id, 'demo', 'old', n, id, left(body, 40), 'viewer', body, now() FROM t
),
asked AS (
    INSERT INTO questions (id, show_id, account_id, name, body, answer, state)
    SELECT id, 'demo', id, left(body, 40), body, body,
           CASE n % 3 WHEN 0 THEN 'held' WHEN 1 THEN 'open' ELSE 'answered' END
    FROM t
),
polled AS (
    INSERT INTO polls (id, show_id, question, options, counts, by_account_id)
    SELECT 'poll', 'demo', $1[1], $1[1:6], array_fill(1, ARRAY[6]), id FROM t WHERE n = 1
),
held AS (
    INSERT INTO held_messages (id, show_id, account_id, name, body, why, found, sent_at)
    SELECT 'h' || id, 'demo', id, left(body, 40), body, 'term', body, now() FROM t
),
suspected AS (
    INSERT INTO evasions (show_id, account_id, like_id, kind) SELECT 'demo', id, 'x1', 'device' FROM t WHERE n > 1
),
reported AS (
    INSERT INTO reports (id, show_id, message_id, author_id, by_account_id, reason)
    SELECT id, 'demo', id, id, id, body FROM t
)
INSERT INTO moderation_acts (show_id, actor_id, act, target_account_id, detail)
SELECT 'demo', id, 'warning.give', id, jsonb_build_object('reason', body, 'warning', id) FROM t
"""
_TITLES = """
WITH t AS (SELECT body, n FROM unnest($1::text[]) WITH ORDINALITY AS t (body, n)),
p AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM products),
products AS (
    UPDATE products SET title = left(t.body, 120), description = t.body FROM p JOIN t ON t.n = p.n
    WHERE products.id = p.id
),
variants AS (UPDATE variants SET title = left(t.body, 80) FROM p JOIN t ON t.n = p.n WHERE product_id = p.id),
shops AS (UPDATE shops SET name = $1[1]),
viewers AS (UPDATE accounts SET name = left($1[2], 40) WHERE demo_role = 'viewer'),
hosts AS (UPDATE accounts SET name = left($1[3], 40) WHERE demo_role IN ('host', 'moderator')),
rooms AS (
    INSERT INTO chat_rooms (show_id, version, notice, blocked, sites, ticker)
    VALUES ('demo', 9, jsonb_build_object('text', $1[4], 'by', $1[5], 'at', 1), $1, $1, $1)
)
UPDATE shows SET title = left($1[6], 120), version = version + 10 WHERE id = 'demo'
"""


async def plant(running) -> None:
    """Puts the corpus wherever people's text is kept, and has the room rebuilt from there."""
    pg, valkey = await asyncpg.connect(running.postgres_url), Redis.from_url(running.valkey_url)
    try:
        await pg.execute(_PLANT, CORPUS)
        await pg.execute(_TITLES, CORPUS)
        await valkey.flushall()
    finally:
        await valkey.aclose()
        await pg.close()


async def stays_text(page: Page) -> None:
    """Nothing of the corpus ran or became anything but text."""
    assert await page.evaluate("() => window.broken") is None
    assert await page.locator("[data-made], iframe[srcdoc], object, embed, base, marquee").count() == 0
    assert await page.evaluate("() => [...document.links].filter((a) => a.protocol === 'javascript:').length") == 0
    assert await page.evaluate("() => [...document.scripts].filter((one) => !one.src).length") == 0


@pytest.mark.timeout(300)
async def test_what_people_write_is_text_on_every_page(own_hawker, browser: Browser) -> None:
    """Watch, moderate, studio and home, with dialogs: chat, names, questions, reports, acts, orders, titles."""
    running = own_hawker().start()
    windows = [await open_window(browser, name, running.base_url) for name in ("viewer", "moderator", "host")]
    viewer, moderator, host = (window.page for window in windows)
    buyer = Viewer(windows[0])
    await buyer.enter("demo")
    await buyer.hold()
    await buyer.pay("works")
    await buyer.order_number()
    await plant(running)
    await viewer.reload()
    await moderator.goto("/moderate/demo#demo=moderator")
    await host.goto("/studio/demo#demo=host")
    last = CORPUS[-1]
    for page in (viewer, moderator, host):
        await expect(page.locator(".chat-words", has_text=CORPUS[0]).first).to_be_visible()
        await expect(page.locator(".chat-line", has_text=last)).to_be_visible()
    await look_at_the_watch_page(viewer)
    await look_at_the_moderation_page(moderator)
    await look_at_the_studio(host)
    await host.goto("/")
    await expect(host.locator("main")).to_contain_text(CORPUS[5])
    await asyncio.gather(*(stays_text(page) for page in (viewer, moderator, host)))
    for window in windows:
        window.check(PLAYER_ASKS)


async def look_at_the_watch_page(page: Page) -> None:
    await expect(page.locator("#title")).to_have_text(CORPUS[5][:120])
    await expect(page.locator(".notice-bar")).to_contain_text(CORPUS[3])
    await page.locator('.chat-head [data-panel="questions"]').click()
    await expect(page.locator(".question-row.open").first).to_be_visible()
    await page.locator("#pinned .buy").click()
    await expect(page.locator("#sheet")).to_be_visible()
    await stays_text(page)


async def look_at_the_moderation_page(page: Page) -> None:
    for rows in (
        "#queue-rows .held",
        "#queue-rows .evasion",
        "#queue-rows .report",
        ".question-row.held",
        "#act-rows .undo",
    ):
        await expect(page.locator(rows).first).to_be_visible()
    await page.locator(".chat-line .card").first.click()
    await expect(page.locator("#person-state")).to_be_visible()
    await stays_text(page)
    await page.keyboard.press("Escape")
    await page.locator("#edit-terms").click()
    for lists in ("#terms-blocked", "#terms-sites"):
        await expect(page.locator(lists)).to_have_value("\n".join(CORPUS))
    await stays_text(page)


async def look_at_the_studio(page: Page) -> None:
    await expect(page.locator("#lineup-rows .desk-row").first).to_be_visible()
    await expect(page.locator("#orders")).to_contain_text(CORPUS[1][:40])
    await expect(page.locator(".question-row").first).to_be_visible()
    await expect(page.locator(".keyword-row").first).to_be_visible()
    await stays_text(page)
