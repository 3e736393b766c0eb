"""The names of shops' servers: a silent name server, or an address that is, holds up nobody but its own shop."""

import asyncio
import socket
import threading
from contextlib import suppress

import httpcore

from app.webhooks.target import LOOKUPS_MAX, LOOKUPS_OF_ONE_MAX, Target
from tests.receiver import receiver
from tests.waiting import eventually_true

GUARD_S = 60


async def test_a_name_whose_server_is_silent_holds_up_no_other_and_nothing_else_of_the_process(monkeypatch):
    """It was asked for in the pool in which passwords are hashed and matchers made, once for each delivery."""
    threads, answered = [], threading.Event()

    def look(host, *_, **__):
        threads.append((host, threading.current_thread().name))
        if host == "silent.example":
            answered.wait(GUARD_S)
        raise OSError(f"no {host}")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    target = Target(private=False, timeout_s=GUARD_S)
    async with asyncio.TaskGroup() as group:
        silent = [
            group.create_task(target.post("https://silent.example/", {}, b"", whose="shop"))
            for _ in range(LOOKUPS_MAX + 1)
        ]
        other = await target.post("https://other.example/", {}, b"", whose="other")
        answered.set()
    await target.aclose()
    assert [one.result().error for one in silent] == ["ConnectError: no silent.example"] * len(silent)
    assert other.error == "ConnectError: no other.example"
    assert sorted(host for host, _ in threads) == ["other.example", "silent.example"]
    assert all(name.startswith("names") for _, name in threads)


async def test_shops_with_many_silent_names_wait_for_themselves_and_what_had_no_turn_is_told_apart(monkeypatch):
    """Two shops with ten such names each held every thread, and all other shops' endpoints were taken to fail."""
    threads, answered = [], threading.Event()

    def look(host, *_, **__):
        threads.append(host)
        if host.startswith("silent"):
            answered.wait(GUARD_S)
        raise OSError(f"no {host}")

    def ask(shop: int, name: int):
        return target.post(f"https://silent{name}.shop{shop}.example/", {}, b"", whose=f"shop{shop}")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    target = Target(private=False, timeout_s=GUARD_S)
    asking = [asyncio.create_task(ask(shop, name)) for shop in range(2) for name in range(10)]
    try:
        await eventually_true(lambda: len(threads) == 2 * LOOKUPS_OF_ONE_MAX)
        other = await target.post("https://other.example/", {}, b"", whose="other")
        assert (other.error, other.queued) == ("ConnectError: no other.example", False)
        assert len(threads) == 2 * LOOKUPS_OF_ONE_MAX + 1
        # However many shops do so, it is not the others' fault.
        shops = range(2, LOOKUPS_MAX // LOOKUPS_OF_ONE_MAX)
        asking += [asyncio.create_task(ask(shop, name)) for shop in shops for name in range(LOOKUPS_OF_ONE_MAX)]
        await eventually_true(lambda: len(threads) == LOOKUPS_MAX + 1)
        target._timeout_s = 0.5
        other = target.post("https://other.example/", {}, b"", whose="other")
        outcomes = await asyncio.gather(ask(0, 0), ask(0, 9), other)
        assert [one.queued for one in outcomes] == [False, True, True]
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)
    finally:
        answered.set()
    assert (
        await target.post("https://other.example/", {}, b"", whose="shop0")
    ).error == "ConnectError: no other.example"
    assert len(threads) == LOOKUPS_MAX + 2  # who waits no more is not asked for
    await target.aclose()


async def test_an_address_that_swallows_everything_is_passed_over(monkeypatch):
    inner = httpcore.AnyIOBackend.connect_tcp

    async def connect(backend, host, port, timeout=None, *options):  # noqa: ASYNC109 - as it is called
        if host == "127.0.0.2":
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await asyncio.Future()
            raise httpcore.ConnectTimeout
        return await inner(backend, host, port, timeout, *options)

    async with receiver() as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, server.port)) for one in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
        monkeypatch.setattr("app.webhooks.target.socket.getaddrinfo", lambda *_, **__: found)
        target = Target(private=True, timeout_s=2)
        assert (await target.post(f"http://shop.example:{server.port}/", {}, b"{}", whose="shop")).status == 200
        await target.aclose()
