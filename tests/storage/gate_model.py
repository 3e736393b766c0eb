"""What hold.lua does, said in Python: the executable specification of the stock gate.

One pool. `now_ms` is the script's own reading of the clock, so the model is exact to the millisecond.
"""

from dataclasses import dataclass, field

from app.flash_sales.gate_wire import place_of

COUNTS = {"held": 1, "confirmed": 1, "returned": -1}
"""What a unit of a record in this state counts to its person's limit."""


@dataclass
class ModelHold:
    person: str
    quantity: int
    price: int
    expires: int
    granted: int
    key: str
    body: str
    show: str
    name: str
    state: str = "held"
    attempt: str = ""
    first_expires: int = 0

    def record(self) -> tuple:
        return (
            self.state,
            self.person,
            self.quantity,
            self.price,
            self.expires,
            self.first_expires,
            self.granted,
            self.key,
            self.body,
            self.show,
            self.attempt,
            self.name,
        )


@dataclass
class ModelPool:
    allotment: int
    price: int
    limit: int
    starts: int
    ends: int
    state: str
    sold: int = 0
    holds: dict[str, ModelHold] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    waiting: bool = False  # somebody waits in line
    epoch: int = 1
    seen: dict[str, tuple] = field(default_factory=dict)  # records that somebody has looked at, by their SHA-1

    @property
    def held(self) -> int:
        return sum(one.quantity for one in self.holds.values() if one.state == "held")

    @property
    def left(self) -> int:
        return self.allotment - self.sold - self.held

    def of(self, person: str) -> int:
        return sum(COUNTS.get(one.state, 0) * one.quantity for one in self.holds.values() if one.person == person)

    def run(self, now: int, operations: list[tuple]) -> tuple[list[tuple], list[str]]:
        """The answers as (code, record as it was then); the ids of holds that expired or were cleared."""
        ended = [name for name in self._in_order() if self.holds[name].expires <= now]
        for name in ended:
            self.holds[name].state, self.holds[name].attempt = "expired", ""
        return [self._answer(now, ended, op) for op in operations], ended

    def _answer(self, now: int, ended: list[str], op: tuple) -> tuple:
        act = self.sold_all if op[0] == "sold" else getattr(self, op[0])  # `sold` are the units
        code, name = act(now, ended, *op[1:])
        return code, self.holds[name].record() if name and code not in {"mismatch", "mismatch_over"} else False

    def take(self, now, _ended, name, person, key, body, quantity, show, ttl, attempt="", for_ms=0, total_max=0):
        earlier = self.keys.get((person, key))
        if earlier is not None:
            mismatch = "mismatch" if self.holds[earlier].state in {"held", "confirmed"} else "mismatch_over"
            return ("same" if self.holds[earlier].body == body else mismatch, earlier)
        refusal = None
        if attempt and self.waiting:
            refusal = "in_line"
        elif self.state != "open" or 0 < self.ends <= now:
            refusal = "ended"
        elif now < self.starts:
            refusal = "not_started"
        elif self.left <= 0 and self.held == 0:
            refusal = "sold_out"
        elif self.limit and self.of(person) + quantity > self.limit:
            refusal = "over_limit"
        elif self.left <= 0:
            refusal = "all_held"
        elif self.left < quantity:
            refusal = "stock_short"
        if refusal:
            return (refusal, "")
        first = now + ttl
        expires = max(first, now + min(for_ms, total_max)) if attempt else first
        self.holds[name] = ModelHold(
            *(person, quantity, self.price, expires, now, key, body, show, name),
            attempt=attempt,
            first_expires=first,
        )
        self.keys[person, key] = name
        return ("granted", name)

    def release(self, _now, _ended, name, person):
        hold = self.holds.get(name)
        if hold is None or person not in {"", hold.person}:
            return ("not_found", "")
        if hold.state != "held":
            return ("over", name)
        if person and hold.attempt:
            return ("paying", name)
        hold.state, hold.attempt = "released", ""
        return ("released", name)

    def resize(self, now, _ended, name, person, quantity, before=None):
        hold = self.holds.get(name)
        if hold is None or person != hold.person:
            return ("not_found", "")
        if hold.state != "held":
            return ("over", name)
        if before is not None and before != hold.quantity:
            return ("moved", "")
        more = quantity - hold.quantity
        if more and hold.attempt:
            return ("paying", name)
        refusal = None
        if more > 0 and (self.state != "open" or 0 < self.ends <= now):
            refusal = "ended"
        elif more > 0 and self.limit and self.of(person) + more > self.limit:
            refusal = "over_limit"
        elif more > 0 and self.left <= 0:
            refusal = "all_held"
        elif more > self.left:
            refusal = "stock_short"
        if refusal:
            return (refusal, "")
        hold.quantity = quantity
        return ("resized", name)

    def extend(self, now, _ended, name, person, attempt, for_ms, total_max, force):
        hold = self.holds.get(name)
        if hold is None or person != hold.person:
            return ("not_found", "")
        if hold.state != "held":
            return ("over", name)
        if hold.attempt not in {"", attempt} and not force:
            return ("paying", name)
        hold.attempt = attempt
        hold.expires = max(hold.expires, min(now + for_ms, hold.granted + total_max))
        return ("extended", name)

    def resume(self, now, ended, name, attempt, give_back):
        hold = self.holds.get(name)
        if hold is None:
            return ("not_found", "")
        if hold.state != "held" or hold.attempt != attempt:
            return ("over", name)
        if give_back:
            hold.state, hold.attempt = "released", ""
            ended.append(name)
            return ("released", name)
        hold.attempt, hold.expires = "", hold.first_expires
        if hold.expires <= now:
            hold.state = "expired"
            ended.append(name)
        return ("resumed", name)

    def confirm(self, _now, _ended, name):
        hold = self.holds.get(name)
        if hold is None:
            return ("not_found", "")
        if hold.state == "confirmed":
            return ("over", name)
        hold.state, hold.attempt = "confirmed", ""
        self.sold += hold.quantity
        return ("confirmed", name)

    def sold_all(self, now, ended, names):
        for name in names:
            self.confirm(now, ended, name)
        return ("sold", "")

    def give_back(self, now, _ended, back, person, quantity, epoch):
        if epoch != self.epoch or back in self.holds:
            return ("over", "")
        self.holds[back] = ModelHold(
            *(person, quantity, self.price, now, now, "", "", "", back), state="returned", first_expires=now
        )
        self.sold -= quantity
        return ("returned", "")

    def mend(self, now, ended, name, how, sha1, epoch):
        hold = self.holds.get(name)
        if hold is None or epoch != self.epoch or self.seen.get(sha1) != hold.record():
            return ("moved", "")
        return (
            self.confirm(now, ended, name) if how == "confirm" else self.resume(now, ended, name, hold.attempt, False)
        )

    def read(self, _now, _ended, name, person):
        hold = self.holds.get(name)
        if hold is None or person not in {"", hold.person}:
            return ("not_found", "")
        return ("read", name)

    def clear(self, _now, ended):
        for name in self._in_order():
            if not self.holds[name].attempt:
                self.holds[name].state = "released"
                ended.append(name)
        return ("cleared", "")

    def _in_order(self) -> list[str]:
        """The holds that are held: shard by shard, who ends first before the others."""
        held = [(place_of(name)[0], one.expires, name) for name, one in self.holds.items() if one.state == "held"]
        return [name for _, _, name in sorted(held)]

    def look(self, _now, _ended):
        return ("looked", "")
