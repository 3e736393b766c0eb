"""The ASGI entry for a server of your own choice: `app.main:app`. Its connections live as long as its lifespan.

`python -m app serve` does not come through here: it brings uvicorn, and the sockets' fast path with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from app.settings import read_settings
from app.storage.loops import run_loops
from app.wiring import build_web


@contextlib.asynccontextmanager
async def _lifespan(outer: Any) -> AsyncIterator[None]:
    async with build_web(read_settings()) as web:
        outer.router.routes.append(Mount("/", web.app))
        loops = asyncio.create_task(run_loops(web.loops), name="loops")
        try:
            yield
        finally:
            loops.cancel()
            await asyncio.gather(loops, return_exceptions=True)


app = Starlette(lifespan=_lifespan)
