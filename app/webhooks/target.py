"""The way out: one POST to an address that a shop chose, and to nowhere that a shop should not reach through us.

Owns the connections. A name is resolved here and the connection goes to the very address that was judged, so a name
that answers differently the second time gains nothing. Names are asked for in threads of their own, since a name whose
server is silent holds one for half a minute: nothing else in the process waits behind it. Redirections are not followed
and answers are not read.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import msgspec

from app.webhooks.webhook_rules import is_public

CONNECTIONS_MAX: Final = 64
ERROR_LENGTH_MAX: Final = 200
LOOKUPS_MAX: Final = 16
"""Names asked for at once. Those who ask for the same one share the answer, so a silent one holds one thread."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a POST: the `status` answered, or the `error` that there was instead."""

    status: int | None = None
    error: str | None = None


class PrivateAddressError(httpcore.ConnectError):
    """The name leads to an address that is not one of the whole internet's."""


class Names:
    """The addresses of names, from the system's resolver."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, "names")
        self._asked: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}

    def close(self) -> None:
        """Asks no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def of(self, host: str, port: int) -> list[str]:
        """All of the name's. Raises OSError."""
        asked = self._asked.get((host, port))
        if asked is None:
            look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            asked = asyncio.get_running_loop().run_in_executor(self._threads, look)
            self._asked[host, port] = asked
            asked.add_done_callback(lambda done: self._forget(host, port, done))
        return [str(one[4][0]) for one in await asyncio.shield(asked)]

    def _forget(self, host: str, port: int, asked: asyncio.Future[list[Any]]) -> None:
        del self._asked[host, port]
        if not asked.cancelled():
            asked.exception()  # perhaps nobody waits for it any more


class _Network(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only, or (`private`) to any."""

    def __init__(self, names: Names, *, private: bool) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._names = names
        self._private = private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore calls it by that name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._names.of(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no address") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not self._private and not all(is_public(ip_address(one.partition("%")[0])) for one in addresses):
            raise PrivateAddressError("a private address")
        *others, last = dict.fromkeys(addresses)
        for address in others:
            with suppress(httpcore.ConnectError):
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Target:
    """`private` lets it reach this machine and private networks: for a laptop and for tests."""

    def __init__(self, *, private: bool, timeout_s: float) -> None:
        self.private = private
        self._timeout_s = timeout_s
        self._names = Names()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=0,
            network_backend=_Network(self._names, private=private),
        )

    async def aclose(self) -> None:
        """Ends the connections."""
        await self._pool.aclose()
        self._names.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Sends and waits for the status, at most `timeout_s` in all. Raises nothing that the far side can cause."""
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as answer:
                    return Outcome(status=answer.status)
        except TimeoutError:
            return Outcome(error=f"no answer within {self._timeout_s:g} s")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
            return Outcome(error=f"{type(error).__name__}: {error}"[:ERROR_LENGTH_MAX])
