"""What is asked of a pool's gate in the histories that script and model are compared by, and by what names."""

import hashlib
import itertools
from functools import partial

import msgspec
import redis
from hypothesis import strategies as st

from app.flash_sales.gate_wire import HoldRecord, gate_keys, hold_id, place_of
from tests.storage.gate_model import ModelPool

PERSONS = ["ann", "bob", "cy"]
SHARDS = "abcdef"
LONG_MS = 600_000

person = st.sampled_from(PERSONS)
# Mostly whose hold it is: a stranger is refused before anything else is looked at.
OWNER = "owner"
who = st.sampled_from([OWNER, OWNER, OWNER, *PERSONS])
# One of the first ten, whatever became of it, one that lives as its batch begins (by chance alone too few do), or the
# one that was asked for last.
LIVE, LAST = "live", "last"
hold = st.one_of(st.integers(0, 9).map(lambda n: f"h{n}"), st.integers(0, 9).map(lambda n: f"{LIVE}{n}"))
attempt = st.sampled_from(["a1", "a2"])
# 0: over as soon as it is granted; 1 and 3: over in one of the next calls, perhaps; LONG_MS: lives on.
span_ms = st.sampled_from([0, 1, 3, LONG_MS, LONG_MS, LONG_MS])
longer_ms = st.sampled_from([0, 1, LONG_MS, *[2 * LONG_MS] * 3, 4 * LONG_MS])  # also beyond the first expiry
quantity = st.integers(1, 3)
take = st.tuples(st.just("take"), person, st.integers(1, 8).map(lambda n: f"k{n}"), quantity, span_ms)
extend = st.tuples(
    st.just("extend"),
    hold,
    who,
    attempt,
    longer_ms,
    st.sampled_from([0, 2, LONG_MS, *[3 * LONG_MS] * 3]),
    st.booleans(),
)
operation = st.one_of(
    *[take] * 3,
    st.tuples(st.just("release"), hold, st.one_of(who, st.just(""))),
    *[extend] * 2,
    st.tuples(st.just("resize"), hold, who, st.integers(1, 5)),
    st.tuples(st.just("resize"), hold, who, st.integers(1, 5), quantity),
    st.tuples(st.just("resume"), hold, attempt, st.booleans()),
    st.tuples(st.just("confirm"), hold),
    st.tuples(st.just("sold"), st.lists(hold, min_size=1, max_size=3)),
    st.tuples(st.just("mend"), hold, st.sampled_from(["confirm", "resume"]), st.sampled_from([1, 1, 1, 2])),
    # Of the first units that were sold, or once more what was given back before; counted in this epoch or another.
    st.tuples(st.just("give_back"), st.integers(0, 2), quantity, st.sampled_from([1, 1, 1, 2]), st.booleans()),
    st.tuples(st.just("read"), hold, st.one_of(who, st.just(""))),
    st.tuples(st.just("clear")),
    st.tuples(st.just("look")),
)
single = operation.map(lambda op: [op])
# By chance alone a payment seldom meets a hold that lives, and its end seldom meets the payment.
payment = st.tuples(
    st.sampled_from([LAST, f"{LIVE}0", f"{LIVE}1"]), attempt, st.sampled_from([False, False, False, True])
).map(lambda on: [("extend", on[0], OWNER, on[1], 2 * LONG_MS, 3 * LONG_MS, True), ("resume", *on)])
purchase = st.tuples(take, payment).map(lambda two: [two[0], *two[1]])
# Nor does a wish for more units, or of somebody else, meet a hold that lives, or one that is being paid for.
larger = st.integers(1, 5).map(lambda units: ("resize", LAST, OWNER, units))
key = st.integers(1000, 2000).map(lambda n: f"k{n}")  # that hardly anybody has used
growth = st.tuples(person, key, key, st.integers(1, 2), larger).map(
    lambda on: [*(("take", on[0], one, on[3], LONG_MS) for one in on[1:3]), on[4]]
)
brim = st.tuples(person, key, st.integers(4, 5)).map(
    lambda on: [("take", *on[:2], 1, LONG_MS), ("resize", LAST, OWNER, on[2])]
)
late_growth = st.tuples(take, attempt, larger).map(
    lambda on: [on[0], ("extend", LAST, OWNER, on[1], 2 * LONG_MS, 3 * LONG_MS, True), on[2]]
)
theft = st.tuples(take, person).map(lambda two: [two[0], ("release", LAST, two[1])])
# As one buys at once, and what becomes of it: an order some of whose units come back, no order, a word that was lost.
at_once = st.tuples(take, attempt, longer_ms, st.sampled_from([0, 2, *[3 * LONG_MS] * 3])).map(
    lambda on: (*on[0], *on[1:])
)
end = st.sampled_from([("confirm", LAST), ("resume", LAST, "a1", True), ("mend", LAST, "confirm", 1)])
returned = st.tuples(st.just("give_back"), st.integers(0, 2), quantity, st.just(1), st.just(False))
sold = st.tuples(at_once, end, returned).map(list)
batch = st.lists(
    st.one_of(*[single] * 4, payment, purchase, *[growth] * 2, *[brim] * 2, late_growth, theft, *[sold] * 2),
    min_size=1,
    max_size=16,
).map(lambda some: list(itertools.chain(*some)))
history = st.lists(st.tuples(st.integers(0, 1), batch), min_size=1, max_size=12)
config = st.tuples(
    st.integers(0, 8),  # allotment
    st.sampled_from([0, 0, 2, 4]),  # limit per buyer
    st.sampled_from(["always", "always", "always", "later", "past"]),
    st.sampled_from(["open", "open", "open", "open", "ended"]),
    st.sampled_from([False, False, False, True]),  # somebody waits
)


def at(hold: str) -> tuple[int, str]:
    """The shard of a hold's record, and its place there."""
    place = place_of(hold)
    return SHARDS.index(place[0]), place


class Names:
    """Says which hold and which person an operation of a history means."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._given: dict[str, int] = {}
        self._returns: dict[str, list[tuple]] = {}  # by pool
        self._fresh = itertools.count()
        self._owners: dict[str, str] = {}
        self._last = "nothing"
        self._taken: list[str] = []

    def fill_in(self, pool: str, wanted: list[tuple], model: ModelPool) -> list[tuple]:
        """A batch for this pool as the script takes it."""
        live = [name for name, one in model.holds.items() if one.state == "held"]
        says = {"take": partial(self._take, pool), "give_back": partial(self._back, pool, model)}
        says["mend"] = partial(self._mend, pool, model, live)
        return [says[op[0]](*op[1:]) if op[0] in says else self._meant(op, live) for op in wanted]

    def _back(self, pool: str, model: ModelPool, number: int, units: int, epoch: int, again: bool) -> tuple:
        """Units of what was sold before this batch; nothing comes back that was not."""
        returns = self._returns.setdefault(pool, [])
        if again and returns:
            return returns[number % len(returns)]
        sold = [name for name, one in model.holds.items() if one.state == "confirmed"]
        name = sold[number % len(sold)] if sold else ""
        units = min(units, model.holds[name].quantity - self._given.get(name, 0)) if sold else 0
        if not units:
            return ("give_back", "f-unknown", "ann", 1, model.epoch + 1)
        back = ("give_back", f"f{next(self._fresh):011}", model.holds[name].person, units, epoch)
        if epoch == model.epoch:
            self._given[name] = self._given.get(name, 0) + units
            returns.append(back)
        return back

    def _mend(self, pool: str, model: ModelPool, live: list[str], meant: str, how: str, epoch: int) -> tuple:
        """By the record that is there before this batch."""
        name = self._hold(meant, live)
        shard, place = at(name) if name != "nothing" else (0, name)
        packed = self._client.hget(gate_keys(pool).holds[shard], place)
        sha1 = hashlib.sha1(packed or b"").hexdigest()
        if packed is not None:
            model.seen[sha1] = msgspec.structs.astuple(msgspec.msgpack.decode(packed, type=HoldRecord))
        return ("mend", name, how, sha1, epoch)

    def _take(self, pool: str, person: str, key: str, quantity: int, span_ms: int, *to_pay: object) -> tuple:
        name = hold_id(pool, person, key, f"{next(self._fresh):012}")
        self._owners[name], self._last = person, name
        self._taken.append(name)
        return ("take", name, person, key, f"{quantity}:s", quantity, "s", span_ms, *to_pay)

    def _meant(self, op: tuple, live: list[str]) -> tuple:
        what, *rest = op
        if what == "sold":
            return (what, [self._hold(one, live) for one in rest[0]])
        if rest:
            rest[0] = self._hold(rest[0], live)
        if what in {"release", "resize", "extend", "read"} and rest[1] == OWNER:
            rest[1] = self._owners.get(rest[0], "ann")
        return (what, *rest)

    def _hold(self, meant: str, live: list[str]) -> str:
        if meant == LAST:
            return self._last
        some = live if meant.startswith(LIVE) and live else self._taken
        number = int(meant[-1])
        return some[number] if number < len(some) else self._last
