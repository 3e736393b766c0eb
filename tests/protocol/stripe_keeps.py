"""What Stripe does with cards that are kept, and localstripe does not: stands in front of it.

localstripe has customers, attaching and detaching. It does not know `setup_future_usage`, by which Stripe attaches the
card once its payment went through; it lets anybody pay with a card that is another customer's, or that was detached;
and of a customer that is not there it does not say so in Stripe's words.
"""

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx

INTENTS, METHODS, CUSTOMERS = "/v1/payment_intents", "/v1/payment_methods", "/v1/customers"
GONE_THROUGH = {"requires_capture", "succeeded"}


def refusal(message: str, **said: str) -> tuple[int, bytes]:
    """Stripe's answer to a request that it cannot do."""
    return 400, json.dumps({"error": {"type": "invalid_request_error", "message": message, **said}}).encode()


@dataclass
class StripeKeeps:
    """Asked before a call is passed on, and after. `intents` are those whose card is to be kept, with its customer."""

    http: httpx.AsyncClient
    intents: dict[str, str] = field(default_factory=dict)
    detached: set[str] = field(default_factory=set)

    async def before(self, method: str, path: str, body: bytes, auth: str) -> tuple[int, bytes] | None:
        """Stripe's refusal of the call; None to pass it on."""
        self.http.headers["authorization"] = auth
        said = dict(parse_qsl(body.decode()))
        if method == "GET" and path.startswith(f"{INTENTS}/"):
            await self._attach(path.partition("?")[0].rpartition("/")[2])
        if path.endswith("/detach"):
            card = path.split("/")[3]
            if (await self.http.get(f"{METHODS}/{card}")).json().get("customer") is None:
                return refusal("The payment method you provided is not attached to a customer.")
            self.detached.add(card)
        if path == INTENTS and method == "POST":
            return await self._refused(said)
        return None

    def after(self, path: str, body: bytes, answer: bytes) -> None:
        """Notes which intent's card is to be kept."""
        said = dict(parse_qsl(body.decode()))
        if path == INTENTS and "setup_future_usage" in said:
            self.intents[json.loads(answer)["id"]] = said["customer"]

    async def _refused(self, said: dict[str, str]) -> tuple[int, bytes] | None:
        customer = said.get("customer")
        if customer and (await self.http.get(f"{CUSTOMERS}/{customer}")).status_code != 200:
            return refusal("No such customer", code="resource_missing", param="customer")
        found = await self.http.get(f"{METHODS}/{said['payment_method']}")
        owner = found.json().get("customer") if found.status_code == 200 else None
        if owner is not None and owner != customer:
            return refusal("This payment method is attached to another customer.")
        if said["payment_method"] in self.detached or (owner is None and customer and "setup_future_usage" not in said):
            return refusal("This payment method was detached, or is no customer's, and may not be used.")
        return None

    async def _attach(self, intent: str) -> None:
        if intent not in self.intents:
            return
        now = (await self.http.get(f"{INTENTS}/{intent}")).json()
        if now["status"] in GONE_THROUGH:
            customer = self.intents.pop(intent)
            await self.http.post(f"{METHODS}/{now['payment_method']}/attach", data={"customer": customer})
