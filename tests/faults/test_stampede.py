"""500 people press at once, each on a connection of their own, at a whole Hawker."""

import httpx
import pytest

from app.accounts.sessions import Sessions
from app.storage.postgres import open_pool
from tests.faults.buyers import check_books, gather_crowd
from tests.running import RunningHawker

BUYERS = 500
UNITS = 20
ANSWER_GUARD_S = 60
SETTLE_GUARD_S = 60


async def _start_sale(running: RunningHawker, http: httpx.AsyncClient, ordinary: str) -> str:
    """Puts all units of the pool's variant into a flash sale of the demo show, as its host. The sale's pool."""
    pg = await open_pool(running.postgres_url, size_max=2)
    try:
        secret = await Sessions(pg).open(await pg.fetchval("SELECT id FROM accounts WHERE demo_role = 'host'"))
        variant = await pg.fetchval("SELECT variant_id FROM pools WHERE id = $1", ordinary)
    finally:
        await pg.close()
    sale = {"variant": variant, "percent_off": 30, "allotment": UNITS, "per_buyer_limit": 1, "duration_s": 600}
    answer = await http.post(
        "/api/shows/demo/flash-sales", json=sale, headers={"Authorization": f"Bearer {secret}"}, timeout=ANSWER_GUARD_S
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["pool"]


@pytest.mark.parametrize("kind", ["sale", "ordinary"])
async def test_500_buyers_of_20_units_over_tcp_make_exactly_20_orders(own_hawker, kind):
    running = own_hawker(HOLD_TTL_S="600").start()
    limits = httpx.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS)
    async with httpx.AsyncClient(base_url=running.base_url, limits=limits, timeout=ANSWER_GUARD_S) as http:
        crowd = await gather_crowd(running, http, BUYERS, [UNITS], seed=5)
        pool = crowd.pools[0] if kind == "ordinary" else await _start_sale(running, http, crowd.pools[0])
        await crowd.rush(pool)
        assert len(crowd.orders) == UNITS
        assert set(crowd.refused) <= {"all_held", "sold_out"}
        assert sum(crowd.refused.values()) == BUYERS - UNITS
        await check_books(running, crowd, SETTLE_GUARD_S)
        late = await gather_crowd(running, http, 1, [], seed=6)
        await late.rush(pool)
        assert late.refused == {"sold_out": 1}  # nothing is held any more, everything is paid
