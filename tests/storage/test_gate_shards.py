"""Where a pool's gate keeps what: shards of unequal size, whatever is in them."""

import itertools
from collections import Counter

from app import clock
from app.flash_sales.gate_wire import HoldRecord, gate_keys, hold_id, place_for
from tests.storage.test_gate_script import LONG_MS, SHARDS, SHARDS_LUA, Scripts, sync_valkey, units_of, values

__all__ = ["sync_valkey"]


def test_each_shard_gets_a_sixth_root_of_two_more_than_the_one_before(sync_valkey):
    """So their tables come to the size at which they double one after the other, and never two together."""
    places = Counter(SHARDS.index(place_for("ann", f"key {number}")[0]) for number in range(50_000))
    tell = sync_valkey.register_script(
        SHARDS_LUA + "for i, person in ipairs(ARGV) do ARGV[i] = shard_of_person(person) - 1 end return ARGV"
    )
    persons = Counter(tell(gate_keys("p").all, [clock.new_id() for _ in range(50_000)]))
    for counts in (places, persons):
        sizes = [counts[shard] for shard in range(len(SHARDS))]
        assert all(1.02 < more / less < 1.25 for less, more in itertools.pairwise(sizes)), sizes


def test_a_hold_of_another_place_than_its_persons_is_counted_for_the_person(sync_valkey):
    """A hold of an open payment keeps its id when its gate is rebuilt, also one that was made otherwise."""
    scripts = Scripts(sync_valkey)
    far = scripts.now_ms() + LONG_MS
    olds = [f"u1-{first}{'0' * 19}oldoldoldold" for first in (*SHARDS, "7")]
    records = [HoldRecord("held", "ann", 1, 700, far, far, far - LONG_MS, "", "", "s", "a1", old) for old in olds]
    scripts.put("u1", values(9, held=7, limit=7), epoch=2, holds=records, buyers=[("ann", 7)])
    new = hold_id("u1", "ann", "k", "freshfreshfr")
    take = ("take", new, "ann", "k", "1:", 1, "", LONG_MS)
    answers = scripts.run("u1", [take, *(("resume", old, "a1", True) for old in olds[1:]), take]).answers
    assert [one.code for one in answers] == ["over_limit", *["released"] * 6, "granted"]
    assert units_of(sync_valkey, "u1", "ann") == [b"2"]
