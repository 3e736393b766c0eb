"""The way out: one POST to an address that a shop chose, and to nowhere that a shop should not reach through us.

Owns the connections. A name is resolved here and the connection goes to the very address that was judged, so a name
that answers differently the second time gains nothing. Names are asked for in threads of their own, since a name whose
server is silent holds one for half a minute: nothing else in the process waits behind it. Of one shop's names two are
asked for at once, and who waited for a thread in vain is told so: that was no fault of the far side. Redirections are
not followed and answers are not read.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from ipaddress import ip_address
from typing import Any, Final
from weakref import WeakValueDictionary

import httpcore
import msgspec

from app import clock
from app.webhooks.webhook_rules import is_public

CONNECTIONS_MAX: Final = 192
"""More than is delivered at once to endpoints that fail and to the others: those who fail keep nobody else waiting."""
ERROR_LENGTH_MAX: Final = 200
LOOKUPS_MAX: Final = 16
"""Names asked for at once. Those who ask for the same one share the answer, so a silent one holds one thread."""
LOOKUPS_OF_ONE_MAX: Final = 2
"""So many of them for one shop."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a POST: the `status` answered, or the `error` that there was instead. `queued`: its turn did not
    come in time, and nothing was asked.
    """

    status: int | None = None
    error: str | None = None
    queued: bool = False


class PrivateAddressError(httpcore.ConnectError):
    """The name leads to an address that is not one of the whole internet's."""


class _Turn:
    """Of one POST: whose it is, and whether it had to wait for its turn in vain."""

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.came = False


_TURN: Final[ContextVar[_Turn]] = ContextVar("turn")


class _Lookup:
    """One name that is asked for, now or as soon as a thread is free."""

    def __init__(self) -> None:
        self.began = False
        self.awaited_by = 0
        self.answer: asyncio.Task[list[Any]]


class Names:
    """The addresses of names, from the system's resolver."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, "names")
        self._free = asyncio.Semaphore(LOOKUPS_MAX)
        self._free_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._asked: dict[tuple[str, int], _Lookup] = {}

    def close(self) -> None:
        """Asks no more."""
        for lookup in self._asked.values():
            lookup.answer.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def of(self, host: str, port: int, turn: _Turn) -> list[str]:
        """All of the name's. Raises OSError."""
        lookup = self._asked.get((host, port))
        if lookup is None:
            lookup = self._asked[host, port] = _Lookup()
            lookup.answer = asyncio.create_task(self._look(lookup, host, port, turn.whose), name=f"name {host}")
            lookup.answer.add_done_callback(partial(self._forget, host, port, lookup))
        lookup.awaited_by += 1
        try:
            return [str(one[4][0]) for one in await asyncio.shield(lookup.answer)]
        finally:
            lookup.awaited_by -= 1
            turn.came = lookup.began
            if not lookup.awaited_by and not lookup.began:  # nobody is left who would want the answer
                lookup.answer.cancel()
                self._forget(host, port, lookup)

    async def _look(self, lookup: _Lookup, host: str, port: int, whose: str) -> list[Any]:
        own = self._free_of.setdefault(whose, asyncio.Semaphore(LOOKUPS_OF_ONE_MAX))
        async with own, self._free:  # in this order: who waits for their own holds none of the others'
            lookup.began = True
            look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            return await asyncio.get_running_loop().run_in_executor(self._threads, look)

    def _forget(self, host: str, port: int, lookup: _Lookup, done: asyncio.Task[list[Any]] | None = None) -> None:
        if self._asked.get((host, port)) is lookup:
            del self._asked[host, port]
        if done is not None and not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more


class _Network(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only, or (`private`) to any."""

    def __init__(self, names: Names, *, private: bool, timeout_s: float) -> None:
        self._timeout_s = timeout_s
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
        ends_s = clock.monotonic_s() + (self._timeout_s if timeout is None else timeout)
        try:
            async with asyncio.timeout(timeout):
                found = await self._names.of(host, port, _TURN.get())
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no address") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not self._private and not all(is_public(ip_address(one.partition("%")[0])) for one in found):
            raise PrivateAddressError("a private address")
        *others, last = dict.fromkeys(found)
        # One that swallows all that is sent to it leaves the others their time.
        share_s = max(0.0, ends_s - clock.monotonic_s()) / (len(others) + 1)
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._inner.connect_tcp(address, port, share_s, local_address, socket_options)
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
            network_backend=_Network(self._names, private=private, timeout_s=timeout_s),
        )

    async def aclose(self) -> None:
        """Ends the connections."""
        await self._pool.aclose()
        self._names.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes, *, whose: str) -> Outcome:
        """Sends and waits for the status, at most `timeout_s` in all. `whose`: who chose the URL, whose names wait for
        one another. Raises nothing that the far side can cause.
        """
        turn = _Turn(whose)
        _TURN.set(turn)
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as answer:
                    return Outcome(status=answer.status)
        except TimeoutError:
            return Outcome(error=f"no answer within {self._timeout_s:g} s", queued=not turn.came)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
            return Outcome(error=f"{type(error).__name__}: {error}"[:ERROR_LENGTH_MAX])
