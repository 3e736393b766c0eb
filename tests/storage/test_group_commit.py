"""Group commit: what waits together goes together, and nobody pays for a neighbour's misfortune."""

import asyncio

import pytest

from app.storage import group_commit
from app.storage.group_commit import HANDED_OUT_AT_ONCE, GroupCommit, Overloaded


class Decider:
    """Answers n with 2n, once it is let go; keeps the batches."""

    def __init__(self):
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        await self.gate.wait()
        if -1 in batch:
            raise ValueError("bad batch")
        return [2 * n for n in batch]


async def submitted(group: GroupCommit, *items: int) -> list[asyncio.Task]:
    """Tasks that have submitted their item."""
    tasks = [asyncio.ensure_future(group.submit(item)) for item in items]
    await asyncio.wait(tasks, timeout=0)
    return tasks


async def test_all_that_arrive_during_a_call_share_the_next_one():
    decider = Decider()
    group = GroupCommit(decider, batch_max=4)
    first = await submitted(group, 1)
    while not decider.batches:
        await asyncio.wait(first, timeout=0)
    rest = await submitted(group, *range(2, 8))
    decider.gate.set()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8, 10, 12, 14]
    assert decider.batches == [[1], [2, 3, 4, 5], [6, 7]]
    await group.drain()
    assert group.idle


async def test_a_failed_call_fails_its_own_batch_alone():
    decider = Decider()
    decider.gate.set()
    group = GroupCommit(decider, batch_max=2)
    answers = await asyncio.gather(*await submitted(group, 1, -1, 3, 4), return_exceptions=True)
    assert [type(one) for one in answers] == [ValueError, ValueError, int, int]


async def test_who_gives_up_waiting_withdraws_nothing_that_is_in_flight():
    decider = Decider()
    group = GroupCommit(decider, batch_max=1)
    flying, waiting, last = await submitted(group, 1, 2, 3)
    while not decider.batches:
        await asyncio.wait([flying], timeout=0)
    flying.cancel()
    waiting.cancel()
    await asyncio.wait([flying, waiting])
    decider.gate.set()
    assert await last == 6
    assert decider.batches == [[1], [3]]


async def test_too_many_who_wait_are_told_at_once(monkeypatch):
    monkeypatch.setattr(group_commit, "WAITING_MAX", 2)
    decider = Decider()
    group = GroupCommit(decider, batch_max=1)
    flying = await submitted(group, 1)
    while not decider.batches:
        await asyncio.wait(flying, timeout=0)
    waiting = await submitted(group, 2, 3)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(group.submit(4), 60)
    decider.gate.set()
    assert await asyncio.gather(*flying, *waiting) == [2, 4, 6]


class Stages:
    """Keeps each batch until it is let go by its first item."""

    def __init__(self):
        self.batches: list[list[int]] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        self.gates[batch[0]] = asyncio.Event()
        await self.gates[batch[0]].wait()
        return batch

    async def settled(self, tasks: list[asyncio.Task]) -> list[int]:
        """The sizes of all batches so far, once nothing more begins by itself."""
        for _ in range(10):
            await asyncio.wait(tasks, timeout=0)
        return [len(one) for one in self.batches]


async def test_calls_that_go_evenly_wait_for_their_share_of_all_who_were_here():
    decider = Stages()
    group = GroupCommit(decider, calls_max=3, evenly=True)
    crowd = await submitted(group, *range(30))
    assert await decider.settled(crowd) == [30]
    few = await submitted(group, *range(100, 109))
    assert await decider.settled(few) == [30]
    more = await submitted(group, 109)
    assert await decider.settled(more) == [30, 10]
    late = await submitted(group, *range(200, 205))
    decider.gates[0].set()
    assert await decider.settled(crowd) == [30, 10]
    decider.gates[100].set()  # nothing is under way now: nobody waits for others
    assert await decider.settled(few) == [30, 10, 5]
    decider.gates[200].set()
    assert await asyncio.gather(*crowd, *few, *more, *late) == [*range(30), *range(100, 110), *range(200, 205)]
    assert group.idle


async def test_who_goes_evenly_is_answered_with_some_others_and_not_with_all_of_them():
    """The answers to the other calls waited until all of a wave had been at work."""
    turns, turn = [], 0

    def tick():
        nonlocal turn
        turn += 1
        ticking[0] = loop.call_soon(tick)

    loop = asyncio.get_running_loop()
    decider = Decider()
    decider.gate.set()
    group = GroupCommit(decider, evenly=True)
    answers = [group.enqueue((n,)) for n in range(2 * HANDED_OUT_AT_ONCE + 1)]
    for answer in answers:
        answer.add_done_callback(lambda _: turns.append(turn))
    ticking = [loop.call_soon(tick)]
    assert [one[0] for one in await asyncio.gather(*answers)] == [2 * n for n in range(len(answers))]
    ticking[0].cancel()
    assert sorted(turns.count(one) for one in set(turns)) == [1, HANDED_OUT_AT_ONCE, HANDED_OUT_AT_ONCE]


async def test_who_waits_for_an_answer_that_is_handed_out_no_more_is_told_so():
    decider = Decider()
    decider.gate.set()
    group = GroupCommit(decider, evenly=True)
    answers = [group.enqueue((n,)) for n in range(2 * HANDED_OUT_AT_ONCE)]
    answers[0].add_done_callback(lambda _: [one.cancel() for one in group._senders])
    told = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(one) for one in told] == [list] * HANDED_OUT_AT_ONCE + [ConnectionError] * HANDED_OUT_AT_ONCE
    assert group.idle


async def test_the_share_is_of_those_who_come_now_once_a_crowd_has_gone():
    decider = Stages()
    group = GroupCommit(decider, calls_max=3, evenly=True)
    crowd = await submitted(group, *range(200))
    assert await decider.settled(crowd) == [200]
    decider.gates[0].set()
    for n in range(1000, 1100):
        (alone,) = await submitted(group, n)
        await decider.settled([alone])
        decider.gates[n].set()
        assert await alone == n
    few = await submitted(group, 2000)
    assert (await decider.settled(few))[-1] == 1
    few += await submitted(group, 2001)
    assert (await decider.settled(few))[-2:] == [1, 1]  # side by side
    for n in (2000, 2001):
        decider.gates[n].set()
    assert await asyncio.gather(*few) == [2000, 2001]


async def test_a_crowd_has_further_calls_while_it_fills_all_of_them():
    decider = Stages()
    group = GroupCommit(decider, batch_max=10, calls_max=2, crowd_calls_max=4)
    first = await submitted(group, *range(10))
    second = await submitted(group, 100)
    assert await decider.settled(first) == [10, 1]
    crowd = await submitted(group, *range(200, 219))
    assert await decider.settled(crowd) == [10, 1]  # nineteen do not fill two calls more
    crowd += await submitted(group, *range(300, 312))
    assert await decider.settled(crowd) == [10, 1, 10, 10]  # four at once, and no more
    decider.gates[0].set()
    assert await decider.settled(crowd) == [10, 1, 10, 10, 10]
    decider.gates[200].set()
    assert await decider.settled(crowd) == [10, 1, 10, 10, 10]  # the last one is no crowd: three others are under way
    decider.gates[210].set()
    assert await decider.settled(crowd) == [10, 1, 10, 10, 10]
    decider.gates[100].set()
    assert await decider.settled(crowd) == [10, 1, 10, 10, 10, 1]
    for n in (301, 311):
        decider.gates[n].set()
    assert len(await asyncio.gather(*first, *second, *crowd)) == 42
    assert group.idle


async def test_what_was_submitted_together_stays_together():
    decider = Decider()
    group = GroupCommit(decider, batch_max=4)
    first = await submitted(group, 1)
    while not decider.batches:
        await asyncio.wait(first, timeout=0)
    together = [asyncio.ensure_future(group.submit_all(some)) for some in ([2, 3, 4], [5, 6], [-1], [7, 8, 9, 10])]
    alone = await submitted(group, 11)
    await asyncio.wait(together, timeout=0)
    decider.gate.set()
    answers = await asyncio.gather(*together, *alone, return_exceptions=True)
    assert answers[0] == [4, 6, 8]
    assert [type(one) for one in answers[1:3]] == [ValueError, ValueError]
    assert answers[3:] == [[14, 16, 18, 20], 22]
    assert decider.batches == [[1], [2, 3, 4], [5, 6, -1], [7, 8, 9, 10], [11]]
