"""500 people press at once, each on a connection of their own, at a whole Hawker."""

import httpx
import pytest

from tests.faults.buyers import check_books, gather_crowd, start_sale

BUYERS = 500
UNITS = 20
ANSWER_GUARD_S = 60
SETTLE_GUARD_S = 60


@pytest.mark.parametrize("kind", ["sale", "ordinary"])
async def test_500_buyers_of_20_units_over_tcp_make_exactly_20_orders(own_hawker, kind):
    running = own_hawker(HOLD_TTL_S="600").start()
    limits = httpx.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS)
    async with httpx.AsyncClient(base_url=running.base_url, limits=limits, timeout=ANSWER_GUARD_S) as http:
        crowd = await gather_crowd(running, http, BUYERS, [UNITS], seed=5)
        pool = crowd.pools[0] if kind == "ordinary" else await start_sale(running, http, crowd.pools[0], UNITS, limit=1)
        crowd.pools = [pool]
        await crowd.rush(pool)
        assert len(crowd.orders) == UNITS
        assert set(crowd.refused) <= {"all_held", "sold_out"}
        assert sum(crowd.refused.values()) == BUYERS - UNITS
        await check_books(running, crowd, SETTLE_GUARD_S)
        late = await gather_crowd(running, http, 1, [], seed=6)
        await late.rush(pool)
        assert late.refused == {"sold_out": 1}  # nothing is held any more, everything is paid
