"""The servers of the HTTP half, one a process: `empty`, `naive` and `ours`, all by uvicorn as the web role sets it up.

`empty` finds out who calls by the session's cookie, checks the CSRF token, decodes the body and answers with as many
bytes as an order has; it stores nothing. `naive` does each step of a purchase in a transaction of its own, with the
stock row locked in the first and in the last. `ours` is the web role as `serve` runs it.
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import clock
from app.accounts.sessions import hash_secret
from app.checkout.edge import BuyNow
from app.http.credentials import cookie_secret, csrf_holds
from app.rooms.pauses import short_pauses
from app.settings import Settings
from app.storage.loops import run_loops
from app.storage.postgres import open_pool
from app.web_role import server_config
from app.wiring import build_web
from bench.checkout.peers import ONE_ASYNCPG

ORDER = (
    b'{"id":"1m80d7xmx160jth2","state":"authorised","show":"show","shop":"shop","total_minor":600,"currency":"EUR",'
    b'"created_at":"2026-11-22T01:17:01.003000Z","lines":[{"title":"Bowl, Blue","quantity":1,"unit_price_minor":600}]}'
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ORDER)).encode())]
FIND = """
    SELECT a.id FROM sessions s JOIN accounts a ON a.id = s.account_id
     WHERE s.token_hash = $1 AND s.ended_at IS NULL AND s.expires_at > now()"""
HOLD = """
    INSERT INTO payment_attempts (id, line, hold_id, pool_id, account_id, shop_id, show_id, variant_id, title, quantity,
                                  unit_price_minor, amount_minor, currency, method, state, hold_expires_at,
                                  idempotency_key, body_hash)
    SELECT $1, 1, p.id || '-' || $1, p.id, $3, 'shop', 'show', p.variant_id, 'Bowl, Blue', $4::int, 600, 600 * $4::int,
           'EUR', $5, 'started', now() + interval '1 hour', $6, ''
      FROM pools p WHERE p.id = $2 AND p.allotment - p.sold >= $4::int"""
PAYMENT = (
    "INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state) VALUES ($1, $2, 600, 'EUR', $3)"
)
LOCK = "SELECT id FROM pools WHERE id = $1 FOR UPDATE"


async def empty(url: str) -> Any:
    """The floor."""
    pg = await open_pool(url, size_max=1)
    known = {
        row["token_hash"]: row["account_id"] for row in await pg.fetch("SELECT token_hash, account_id FROM sessions")
    }
    await pg.close()
    decode = msgspec.json.Decoder(BuyNow).decode

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        secret = cookie_secret(request)
        assert secret is not None
        assert csrf_holds(request)
        assert request.headers["idempotency-key"]
        body = (await receive())["body"]
        assert known[hash_secret(secret)]
        assert decode(body).quantity == 1
        await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
        await send({"type": "http.response.body", "body": ORDER})

    return app


async def naive(url: str) -> Any:
    """One thing after the other."""
    pg = await open_pool(url)

    async def buy(request: Request) -> JSONResponse:
        secret = cookie_secret(request)
        assert secret is not None
        assert csrf_holds(request)
        buyer = await pg.fetchval(FIND, hash_secret(secret))
        body = await request.json()
        attempt, key = clock.new_ordered_id(), request.headers["idempotency-key"]
        async with pg.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, body["pool"])
            await connection.execute(HOLD, attempt, body["pool"], buyer, body["quantity"], body["method"], key)
        await pg.execute(PAYMENT, attempt, body["method"], "authorised")
        async with pg.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, body["pool"])
            await connection.execute(ONE_ASYNCPG, attempt)
        order = {**msgspec.json.decode(ORDER), "id": attempt}
        return JSONResponse(order, 201)

    return Starlette(routes=[Route("/api/buy-now", buy, methods=["POST"])])


async def main(which: str, port: int, url: str, valkey: str) -> None:
    settings = Settings(port=port, database_url=url, redis_url=valkey, demo=False, simulated_payments=True)
    if which == "ours":
        async with build_web(settings) as web:
            loops = asyncio.create_task(run_loops(web.loops))
            with short_pauses():
                await uvicorn.Server(server_config(settings, web.app)).serve()
            loops.cancel()
    else:
        app = await {"empty": empty, "naive": naive}[which](url)
        with short_pauses():
            await uvicorn.Server(server_config(settings, app)).serve()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
