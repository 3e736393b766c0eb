"""The way out: one POST to an address that a shop chose, and to nowhere that a shop should not reach through us.

Owns the connections. A name is resolved here and the connection goes to the very address that was judged, so a name
that answers differently the second time gains nothing. Redirections are not followed and answers are not read.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import msgspec

from app.webhooks.webhook_rules import is_public

CONNECTIONS_MAX: Final = 64
ERROR_LENGTH_MAX: Final = 200


class Outcome(msgspec.Struct, frozen=True):
    """What became of a POST: the `status` answered, or the `error` that there was instead."""

    status: int | None = None
    error: str | None = None


class PrivateAddressError(httpcore.ConnectError):
    """The name leads to an address that is not one of the whole internet's."""


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore calls it by that name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not all(is_public(ip_address(one.partition("%")[0])) for one in addresses):
            raise PrivateAddressError("a private address")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Target:
    """`private` lets it reach this machine and private networks: for a laptop and for tests."""

    def __init__(self, *, private: bool, timeout_s: float) -> None:
        self.private = private
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=0,
            network_backend=None if private else _PublicNetwork(),
        )

    async def aclose(self) -> None:
        """Ends the connections."""
        await self._pool.aclose()

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
