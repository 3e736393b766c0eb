"""The gate's script against its model: the same histories through both, on the real Valkey."""

import itertools
from pathlib import Path

import msgspec
import pytest
import redis
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

import app.flash_sales
from app.flash_sales.gate_wire import HoldRecord, decode_result, encode, gate_keys, place_of
from app.storage.valkey import SERVER_LUA
from tests.storage.gate_histories import LONG_MS, PERSONS, SHARDS, Names, at, config, history
from tests.storage.gate_model import ModelPool

FOLDER = Path(app.flash_sales.__file__).parent
SHARDS_LUA = (FOLDER / "shards.lua").read_text() + "\n"
SOURCE = "\n".join((FOLDER / name).read_text() for name in ("shards.lua", "hold_book.lua", "hold.lua"))
NEVER_MS = 2**53
SET_SIZE, SETS_MAX = 40, 60  # a fault shows in the first histories of some set, or late in any
_fresh = itertools.count()


@pytest.fixture(scope="module")
def sync_valkey(valkey_url):
    """A blocking client: hypothesis drives plain functions."""
    client = redis.Redis.from_url(valkey_url)
    yield client
    client.close()


class Scripts:
    """The gate's scripts as they are, called without the code around them."""

    def __init__(self, client: redis.Redis, hold: str = SOURCE) -> None:
        self.client = client
        before = SERVER_LUA.read_text() + "\n"
        self.hold = client.register_script(before + hold)
        self.install = client.register_script(before + SHARDS_LUA + (FOLDER / "install.lua").read_text())
        self.pool = client.register_script(before + (FOLDER / "pool.lua").read_text())

    def now_ms(self) -> int:
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000

    def put(self, pool: str, values: tuple, epoch=1, holds=(), buyers=()) -> bytes:
        return self.install(
            gate_keys(pool).all,
            [epoch, encode(values), encode(list(holds)), encode(list(buyers))],
        )

    def run(self, pool: str, operations: list[tuple]):
        return decode_result(self.hold(gate_keys(pool).all, [encode(operations)]))


def values(allotment=5, *, sold=0, held=0, limit=0, starts=0, ends=0, state="open") -> tuple:
    return (allotment - sold - held, held, sold, allotment, 700, limit, starts, ends, state, "{}")


@pytest.mark.parametrize("examples", [150, pytest.param(2000, marks=pytest.mark.long)])
def test_the_script_does_what_the_model_does(sync_valkey, examples):
    @settings(max_examples=examples)
    @given(configs=st.tuples(config, config), batches=history)
    def all_alike(configs, batches):
        play(Scripts(sync_valkey), configs, batches)

    all_alike()


# Faults that somebody could make: (what the script says, what it would then say).
FAULTS = {
    "the limit forgets what is held": ("units_of[person] + quantity > limit", "quantity > limit"),
    "a double click in one batch is two holds": (
        "if packed_of[place] then",
        "if packed_of[place] and not changed[place] then",
    ),
    "another body is the same request": ("(hold[BODY] ~= body and hold[BODY] ~= '')", "false"),
    "sold before the start": ("if now < starts then", "if false then"),
    "sold after the end": ("if state ~= 'open' or (ends > 0 and now >= ends)", "if state ~= 'open'"),
    "more units than are left": ("if left < quantity then", "if left < 1 then"),
    "a buyer is not counted": ("    recounted[person] = true\n", ""),
    "another payment ends this one": ("hold[STATE] ~= 'held' or hold[ATTEMPT] ~= attempt", "hold[STATE] ~= 'held'"),
    "more than the limit by making a hold larger": (
        "units_held_by(person) + more > limit",
        "quantity > limit",
    ),
    "a hold that has changed grows all the same": ("if op[5] and op[5] ~= hold[QUANTITY] then", "if false then"),
    "a hold grows beyond what is left": ("if more > 0 and left < more then", "if more > 0 and left <= 0 then"),
    "a hold grows while it is paid for": ("if more ~= 0 and hold[ATTEMPT] ~= '' then", "if false then"),
    "extending shortens": ("math.max(hold[EXPIRES], ", "math.min(hold[EXPIRES], "),
    "extended for ever": ("math.min(now + for_ms, hold[GRANTED] + total_max_ms)", "now + for_ms"),
    "a hold outlives its payment": ("    hold[EXPIRES] = hold[FIRST_EXPIRES]\n", ""),
    "another person gives it back": ("(person ~= '' and hold[PERSON] ~= person)", "false"),
    "sold twice": ("if hold[STATE] == 'confirmed' then", "if false then"),
    "clearing forgets this batch": ("    write_holds()  -- those of this batch are meant too\n", ""),
    "who pays at once goes before who waits": ("if attempt and somebody_waits() then", "if false then"),
    "who pays at once has less time than who only holds": (
        "attempt and math.max(first_expires, now + math.min(op[10], op[11])) or first_expires",
        "attempt and now + math.min(op[10], op[11]) or first_expires",
    ),
    "what came back is counted again": ("if of_epoch ~= epoch or hold_at(back) then", "if of_epoch ~= epoch then"),
    "what Postgres counted before this gate is counted again": (
        "if of_epoch ~= epoch or hold_at(back) then",
        "if hold_at(back) then",
    ),
    "what came back still counts to the limit": ("    count_buyer(person, -quantity)\n", ""),
    "mended although it has moved": ("redis.sha1hex(packed_of[place_of(id)]) ~= sha1", "false"),
    "mended in another epoch": ("op[5] ~= epoch or ", ""),
    "a payment's hold is cleared": ("        if hold[ATTEMPT] == '' then\n", "        if true then\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_catches(sync_valkey, fault):
    """The test of the test above, with its own histories."""
    sound, faulty = FAULTS[fault]
    assert SOURCE.count(sound) == 1
    scripts = Scripts(sync_valkey, SOURCE.replace(sound, faulty))

    def histories(number: int) -> None:
        @seed(number)
        @settings(max_examples=SET_SIZE, deadline=None, database=None, phases=[Phase.generate])
        @given(configs=st.tuples(config, config), batches=history)
        def some(configs, batches):
            play(scripts, configs, batches)

        some()

    def all_sets() -> None:
        for number in range(SETS_MAX):
            histories(number)

    # What the server's clock has to do with a history differs from run to run: one set of them may miss it.
    with pytest.raises((AssertionError, ExceptionGroup, redis.ResponseError)):
        all_sets()


def play(scripts, configs, batches) -> None:
    """The same history through two pools and their models."""
    now = scripts.now_ms()
    pools = []
    for allotment, limit, window, state, waiting in configs:
        starts, ends = {"always": (0, 0), "later": (now + LONG_MS, now + 2 * LONG_MS), "past": (1, now - 1)}[window]
        name = f"m{next(_fresh)}"
        scripts.put(name, values(allotment, limit=limit, starts=starts, ends=ends, state=state))
        if waiting:
            scripts.client.set(gate_keys(name).waiting, 1)
        pools.append((name, ModelPool(allotment, 700, limit, starts, ends, state, waiting=waiting)))
    names = Names(scripts.client)
    for which, wanted in batches:
        name, model = pools[which]
        operations = names.fill_in(name, wanted, model)
        result = scripts.run(name, operations)
        answers, ended = model.run(result.now_ms, operations)
        shown = [(one.code, one.hold and msgspec.structs.astuple(one.hold)) for one in result.answers]
        assert shown == answers
        assert [one.id for one in result.ended] == ended
        assert (result.left, result.held, result.sold) == (model.left, model.held, model.sold)
        compare(scripts.client, name, model)


def units_of(client: redis.Redis, name: str, person: str) -> list[bytes]:
    """What the pool's shards say that the person has."""
    return [units for key in gate_keys(name).buyers if (units := client.hget(key, person)) is not None]


def compare(client: redis.Redis, name: str, model: ModelPool) -> None:
    """Everything that the script keeps against everything that the model knows."""
    keys = gate_keys(name)
    asked = client.pipeline(transaction=False)  # one trip for all of it: this runs ten thousand times
    for shard in range(len(SHARDS)):
        asked.hgetall(keys.holds[shard]).zrange(keys.live[shard], 0, -1, withscores=True).hgetall(keys.buyers[shard])
    *told, due = asked.hget(keys.config, "due").execute()
    kept = {
        (shard, place.decode()): msgspec.structs.astuple(msgspec.msgpack.decode(packed, type=HoldRecord))
        for shard, holds in enumerate(told[0::3])
        for place, packed in holds.items()
    }
    assert kept == {at(key): one.record() for key, one in model.holds.items()}
    live = {(shard, place.decode()): int(score) for shard, some in enumerate(told[1::3]) for place, score in some}
    assert live == {at(key): one.expires for key, one in model.holds.items() if one.state == "held"}
    assert int(due or 0) <= min(live.values(), default=NEVER_MS)
    counts = [(who.decode(), int(units)) for buyers in told[2::3] for who, units in buyers.items()]
    assert sorted(counts) == [(who, model.of(who)) for who in PERSONS if model.of(who)]
    assert set(model.keys.values()) == {key for key, one in model.holds.items() if one.state != "returned"}
    assert model.left >= 0 or any(one.state == "confirmed" for one in model.holds.values())


def test_a_gate_without_configuration_decides_nothing(sync_valkey):
    result = Scripts(sync_valkey).run("nowhere", [("take", "h", "ann", "k", "1:", 1, "", LONG_MS)])
    assert (result.epoch, result.answers) == (0, [])
    assert sync_valkey.exists(*gate_keys("nowhere").all) == 0


def test_an_older_rebuild_does_not_replace_a_newer_one(sync_valkey):
    scripts = Scripts(sync_valkey)
    assert scripts.put("r1", values(5), epoch=7) == b"done"
    scripts.run("r1", [("take", "h1", "ann", "k", "1:", 1, "", LONG_MS)])
    assert scripts.put("r1", values(5), epoch=6) == b"stale"
    assert scripts.put("r1", values(5), epoch=7) == b"stale"
    assert scripts.run("r1", [("look",)]).held == 1


def test_a_rebuilt_gate_keeps_the_holds_of_payments_and_their_buyers_limit(sync_valkey):
    scripts = Scripts(sync_valkey)
    far = scripts.now_ms() + LONG_MS
    record = HoldRecord("held", "ann", 2, 700, far, far, far - LONG_MS, "", "", "s", "a1", "old")
    scripts.put("r2", values(5, sold=1, held=2, limit=3), epoch=2, holds=[record], buyers=[("ann", 3)])
    result = scripts.run(
        "r2",
        [
            ("take", "h1", "ann", "k", "1:", 1, "", LONG_MS),
            ("take", "h2", "bob", "k", "3:", 3, "", LONG_MS),
            ("take", "h3", "bob", "k2", "2:", 2, "", LONG_MS),
            ("confirm", "old"),
        ],
    )
    assert [one.code for one in result.answers] == ["over_limit", "stock_short", "granted", "confirmed"]
    assert (result.left, result.held, result.sold) == (0, 2, 3)
    assert result.version == (2 << 32) + 1


def test_held_units_cannot_be_moved_out_of_a_pool(sync_valkey):
    scripts = Scripts(sync_valkey)
    scripts.put("p1", values(5), epoch=3)
    scripts.run("p1", [("take", "h1", "ann", "k", "3:", 3, "", LONG_MS)])
    config_key = [gate_keys("p1").config]
    assert scripts.pool(config_key, ["shrink", 3, 3]) == b"short"
    assert scripts.pool(config_key, ["shrink", 2, 1]) == b"stale"
    assert scripts.pool(config_key, ["shrink", 3, 2]) == b"done"
    result = scripts.run("p1", [("look",)])
    assert (result.left, result.held, result.allotment) == (0, 3, 3)
    assert scripts.pool(config_key, ["close", 3]) == b"short"
    scripts.run("p1", [("release", "h1", "ann")])
    assert scripts.pool(config_key, ["close", 3]) == b"done"
    closed = scripts.run("p1", [("take", "h2", "ann", "k2", "1:", 1, "", LONG_MS)])
    assert [one.code for one in closed.answers] == ["ended"]


def test_a_hold_of_a_pool_that_is_over_grows_no_more_and_may_still_be_made_smaller(sync_valkey):
    scripts = Scripts(sync_valkey)
    config_key = [gate_keys("q1").config]
    scripts.put("q1", values(5), epoch=1)
    scripts.run("q1", [("take", "h1", "ann", "k", "2:", 2, "", LONG_MS)])
    for ends, state in ((scripts.now_ms() - 1, "open"), (0, "ended")):
        scripts.pool(config_key, ["set", 1, 700, 0, 0, ends, state, "{}", 5])
        result = scripts.run("q1", [("resize", "h1", "ann", 3), ("resize", "h1", "ann", 2)])
        assert [one.code for one in result.answers] == ["ended", "resized"]
    result = scripts.run("q1", [("resize", "h1", "ann", 1), ("read", "h1", "")])
    assert (result.left, result.held, result.answers[1].hold.quantity) == (4, 1, 1)
    assert units_of(sync_valkey, "q1", "ann") == [b"1"]


def test_what_postgres_says_twice_changes_the_gate_once(sync_valkey):
    scripts = Scripts(sync_valkey)
    scripts.put("p2", values(5), epoch=1)
    scripts.run("p2", [("take", "h1", "ann", "k", "2:", 2, "", LONG_MS)])
    for _ in range(2):
        said = scripts.pool([gate_keys("p2").config], ["set", 1, 650, 4, 0, 0, "open", "{}", 8])
        assert said == b"done"
    result = scripts.run("p2", [("take", "h2", "bob", "k", "1:", 1, "", LONG_MS), ("read", "h1", "")])
    assert (result.left, result.held, result.allotment) == (5, 3, 8)
    assert [one.hold.price_minor for one in result.answers] == [650, 700]


def test_a_batch_of_256_takes_of_200_units_grants_exactly_200(sync_valkey):
    scripts = Scripts(sync_valkey)
    scripts.put("b1", values(200))
    batch = [("take", f"h{n}", f"person{n}", "k", "1:", 1, "", LONG_MS) for n in range(256)]
    codes = [one.code for one in scripts.run("b1", batch).answers]
    assert codes == ["granted"] * 200 + ["all_held"] * 56
    again = [one.code for one in scripts.run("b1", batch).answers]
    assert again == ["same"] * 200 + ["all_held"] * 56


def test_records_of_holds_that_ended_long_ago_are_forgotten(sync_valkey):
    scripts = Scripts(sync_valkey)
    scripts.put("f1", values(9))
    keys = gate_keys("f1")
    for shard in SHARDS:
        hold = f"f1-{shard}{'0' * 19}freshfreshfr"
        scripts.run("f1", [("take", hold, "ann", "k", "1:", 1, "", LONG_MS), ("release", hold, "ann")])
        sync_valkey.zadd(keys.over, {place_of(hold): scripts.now_ms() - 3_600_001})
    scripts.run("f1", [("look",)] * 2)
    assert sync_valkey.exists(*keys.holds, keys.over) == 0


def test_units_that_came_back_are_counted_once_and_only_by_the_gate_that_had_sold_them(sync_valkey):
    scripts = Scripts(sync_valkey)
    scripts.put("g1", values(2, limit=2), epoch=4)
    scripts.run("g1", [("take", "h1", "ann", "k", "2:", 2, "", LONG_MS), ("confirm", "h1")])
    back = ("give_back", "r1", "ann", 1, 4)
    result = scripts.run("g1", [back, back, ("give_back", "r2", "ann", 1, 3)])
    assert [one.code for one in result.answers] == ["returned", "over", "over"]
    assert (result.left, result.held, result.sold) == (1, 0, 1)
    result = scripts.run("g1", [("take", "h2", "ann", "k2", "1:", 1, "", LONG_MS), ("give_back", "r3", "ann", 1, 4)])
    assert [one.code for one in result.answers] == ["granted", "returned"]
    assert (result.left, result.held, result.sold) == (1, 1, 0)
    assert units_of(sync_valkey, "g1", "ann") == [b"1"]
