"""Stripe's side of the tests: localstripe behind a proxy of ours that breaks what a network breaks.

The proxy also does what Stripe promises and localstripe does not: under an Idempotency-Key the same answer again. It
leaves out the parameters that localstripe does not know; what Stripe does by one of them, it keeps a card, is stood in
for by tests/protocol/stripe_keeps.py.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.protocol.stripe_keeps import StripeKeeps
from tests.running import free_port
from tests.waiting import eventually_now

PROCESS = Path(__file__).with_name("localstripe_process.py")
SECRET_KEY = "sk_test_hawker"
UNKNOWN = ("allowed_payment_method_types", "setup_future_usage")
START_GUARD_S = 60

IN_USE = {
    "type": "invalid_request_error",
    "code": "idempotency_key_in_use",
    "message": "Another request is on its way.",
}
DECLINED = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}

# Stripe's own numbers for tests.
WORKS, DECLINES, CHALLENGES = "4242424242424242", "4000000000000341", "4000002500003155"


class LocalStripe:
    """The process. `url` is where it listens."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen([sys.executable, str(PROCESS), str(port)])
        eventually_now(self._answers, START_GUARD_S, "localstripe up")

    def _answers(self) -> bool:
        assert self._process.poll() is None, "localstripe ended"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.url + "/js.stripe.com/v3/").status_code == 200
        return False

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def card(stripe: str, number: str = WORKS, exp_year: int = 2040) -> str:
    """What Stripe's frame makes of a card: the id of a payment method."""
    form = {"type": "card", "card[number]": number, "card[exp_month]": "12"}
    form |= {"card[exp_year]": str(exp_year), "card[cvc]": "123"}
    answer = httpx.post(f"{stripe}/v1/payment_methods", data=form, auth=(SECRET_KEY, ""), timeout=60)
    answer.raise_for_status()
    return answer.json()["id"]


def authenticate(stripe: str, secret: str, *, success: bool) -> None:
    """What Stripe's frame does when the buyer has answered their bank."""
    intent = secret.partition("_secret_")[0]
    body = {"client_secret": secret, "success": success}
    answer = httpx.post(
        f"{stripe}/v1/payment_intents/{intent}/_authenticate", json=body, auth=(SECRET_KEY, ""), timeout=60
    )
    assert answer.status_code in {200, 402}, answer.text


def intents(stripe: str) -> list[dict]:
    """All PaymentIntents of the test, in localstripe's own books."""
    answer = httpx.get(f"{stripe}/v1/payment_intents", params={"limit": 100}, auth=(SECRET_KEY, ""), timeout=60)
    return answer.json()["data"]


def give_back(stripe: str, intent: str, amount: int) -> dict:
    """What somebody does in Stripe's dashboard: a refund of which nobody has asked us."""
    form = {"payment_intent": intent, "amount": str(amount)}
    answer = httpx.post(f"{stripe}/v1/refunds", data=form, auth=(SECRET_KEY, ""), timeout=60)
    answer.raise_for_status()
    return answer.json()


def refunds(stripe: str) -> list[dict]:
    """All refunds, likewise."""
    return httpx.get(f"{stripe}/v1/refunds", params={"limit": 100}, auth=(SECRET_KEY, ""), timeout=60).json()["data"]


@dataclass
class FaultProxy:
    """`await start()`; `url` takes calls. `plan` holds what befalls the next calls whose path ends with a word:
    "cut before" and "cut after" the call took effect, "hang" after it did, "double" for a network that repeats it,
    "declined" for a bank that says no, "meet" for one that is still at work when the same is asked once more.
    """

    upstream: str
    plan: deque[tuple[str, str]] = field(default_factory=deque)
    seen: list[str] = field(default_factory=list)
    away: bool = False
    url: str = ""
    disputes: list[dict] = field(default_factory=list)  # localstripe knows none; the proxy answers for it
    _kept: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    _asked: set[tuple[str, str]] = field(default_factory=set)
    _met: asyncio.Event = field(default_factory=asyncio.Event)
    _hung: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._http = httpx.AsyncClient(base_url=self.upstream, timeout=START_GUARD_S)
        self.keeps = StripeKeeps(httpx.AsyncClient(base_url=self.upstream, timeout=START_GUARD_S))
        return self

    async def stop(self) -> None:
        self._server.close()
        for writer in self._hung:
            writer.close()
        await self._http.aclose()
        await self.keeps.http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            fault = "cut before" if self.away else self._fault_of(path)
            self.seen.append(f"{method} {path.partition('?')[0]}")
            if fault == "cut before":
                writer.transport.abort()
                return
            if fault == "declined":
                status, answer = 402, json.dumps({"error": DECLINED}).encode()
            else:
                status, answer = await self._forward(method, path, headers, body, meet=fault == "meet")
            if fault == "double":
                status, answer = await self._forward(method, path, headers, body)
            if fault == "cut after":
                writer.transport.abort()
                return
            if fault == "hang":
                self._hung.append(writer)
                return
            start = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(f"{start}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
            await writer.drain()
            writer.close()

    def _fault_of(self, path: str) -> str | None:
        if self.plan and path.partition("?")[0].endswith(self.plan[0][0]):
            return self.plan.popleft()[1]
        return None

    async def _forward(self, method: str, path: str, headers: dict, body: bytes, *, meet=False) -> tuple[int, bytes]:
        if path.startswith("/v1/disputes?"):
            about = [one for one in self.disputes if f"payment_intent={one['payment_intent']}" in path]
            return 200, json.dumps({"object": "list", "url": "/v1/disputes", "has_more": False, "data": about}).encode()
        key = (path, headers.get("idempotency-key", ""))
        if key[1] and key in self._kept:
            return self._kept[key]
        if key[1] and key in self._asked:
            self._met.set()
            return 409, json.dumps({"error": IN_USE}).encode()
        self._asked.add(key)
        try:
            if meet:
                async with asyncio.timeout(START_GUARD_S):
                    await self._met.wait()
            return await self._pass_on(method, path, headers, body, key)
        finally:
            self._asked.discard(key)

    async def _pass_on(self, method: str, path: str, headers: dict, body: bytes, key: tuple) -> tuple[int, bytes]:
        refused = await self.keeps.before(method, path, body, headers["authorization"])
        if refused is not None:
            return refused
        wanted = {name: value for name, value in headers.items() if name in {"authorization", "content-type"}}
        kept = b"&".join(part for part in body.split(b"&") if not part.startswith(tuple(map(str.encode, UNKNOWN))))
        answer = await self._http.request(method, path, content=kept, headers=wanted)
        if method == "POST" and answer.status_code == 200:
            self.keeps.after(path, body, answer.content)
        if key[1] and answer.status_code < 500:
            self._kept[key] = (answer.status_code, answer.content)
        return answer.status_code, answer.content


def event(kind: str, intent: dict, *, id_: str, **changes) -> bytes:
    """A webhook's body about a PaymentIntent, as Stripe writes it. `changes` go into the intent."""
    about = {"id": id_, "object": "event", "type": kind, "livemode": False, "created": 1}
    return json.dumps({**about, "data": {"object": {**intent, **changes}}}).encode()
