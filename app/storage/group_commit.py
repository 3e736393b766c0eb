"""Group commit: everything that arrived while the last call was in flight goes out in the next one.

Owns the waiting and the batching, for the stock gate (one script call decides many holds) and for Postgres (one
transaction commits many orders). It never looks into an item, retries nothing and splits nothing: `decide` does.
There is no linger timer: a lone item leaves at once, and the batch grows by itself as the calls take longer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH_MAX: Final = 256
WAITING_MAX: Final = 20_000
HANDED_OUT_AT_ONCE: Final = 24
_FADES: Final = 0.95  # what is left of the crowd, a call later, when it is gone


_Together: TypeAlias = list[tuple[int, asyncio.Future[Any]]]
"""How many items each submitted, and who waits for their answers."""


class Overloaded(ConnectionError):  # noqa: N818  it says what the group is
    """More than WAITING_MAX items wait: the other side has been too slow for too long."""


class GroupCommit(Generic[Item, Answer]):
    """`decide` gets up to `batch_max` items in the order of their arrival and answers each, in that order.

    Of `calls_max` calls at once, one is decided over there while the answers of another are handed out here.
    When it raises, everyone in that batch gets the exception. A submitter that is cancelled does not withdraw what
    is already in a batch; what still waits is withdrawn. What was submitted together stays together.

    With `evenly` a further call begins only when its share of all who were here lately waits for it. Else the first few
    who come back from a call go alone, and the many behind them wait for the end of another. While no call is under
    way nobody waits.

    With `crowd_calls_max` up to so many calls are under way while enough wait to fill all of them: where a turn of the
    other side has a cost of its own whatever is in it (a sync to disk), the calls of a crowd share it. Fewer go on by
    `calls_max`, since all that is decided in one turn is answered at its end.
    """

    def __init__(
        self,
        decide: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        batch_max: int = BATCH_MAX,
        calls_max: int = 1,
        *,
        evenly: bool = False,
        crowd_calls_max: int = 0,
    ) -> None:
        self._decide = decide
        self._batch_max = batch_max
        self._calls_max = calls_max
        self._crowd_calls_max = max(calls_max, crowd_calls_max)
        self._evenly = evenly
        self._starting = 0  # senders that have not looked yet at what waits
        self._in_flight = 0  # items
        self._crowd = 0.0  # items that waited or were in flight at once, not long ago
        self._waiting: deque[tuple[Sequence[Item], asyncio.Future[Sequence[Answer]]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing is in flight."""
        return not self._senders

    async def submit(self, item: Item) -> Answer:
        """The answer of the batch that carried `item`."""
        return (await self.enqueue((item,)))[0]

    async def submit_all(self, items: Sequence[Item]) -> Sequence[Answer]:
        """The answers to items that stay together: at least one, and `batch_max` at most."""
        assert 0 < len(items) <= self._batch_max
        return await self.enqueue(items)

    def enqueue(self, items: Sequence[Item]) -> asyncio.Future[Sequence[Answer]]:
        """As submit_all, for who goes on by a callback."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded("the group is full")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # once: asking costs a system call in some Pythons
        answer: asyncio.Future[Sequence[Answer]] = self._loop.create_future()
        self._waiting.append((items, answer))
        if len(self._senders) < self._crowd_calls_max and self._enough_wait(len(self._senders)):
            # Starts in the next turn of the event loop, so all that arrive in this one share the first call.
            self._senders.add(asyncio.create_task(self._send_all(), name="group commit"))
            self._starting += 1
        return answer

    async def drain(self) -> None:
        """Waits until all that was submitted has been answered."""
        while self._senders:
            await asyncio.wait(self._senders)

    def _enough_wait(self, others: int) -> bool:
        """Whether those who wait are enough for a call beside so many others."""
        if others >= self._calls_max:
            return len(self._waiting) >= self._batch_max * (self._crowd_calls_max - others + self._starting)
        if not others or not self._evenly:
            return True
        return len(self._waiting) >= min(self._crowd / self._calls_max, self._batch_max)

    async def _send_all(self) -> None:
        self._starting -= 1
        try:
            while self._waiting and self._enough_wait(len(self._senders) - 1):
                await self._send_next()
        finally:
            # Here and not in a callback of the task: who submits in between would wait for ever.
            self._senders.discard(cast(asyncio.Task[None], asyncio.current_task()))

    async def _send_next(self) -> None:
        together: _Together = []
        batch: list[Item] = []
        while self._waiting and len(batch) + len(self._waiting[0][0]) <= self._batch_max:
            items, answer = self._waiting.popleft()
            if not answer.cancelled():
                batch.extend(items)
                together.append((len(items), answer))
        if not batch:
            return
        self._in_flight += len(batch)
        self._crowd = max(self._in_flight + len(self._waiting), self._crowd * _FADES)
        try:
            answers = await self._decide(batch)
            assert len(answers) == len(batch), (len(answers), len(batch))
        except BaseException as error:
            for _, answer in together:
                if not answer.done():
                    answer.set_exception(error if isinstance(error, Exception) else ConnectionError("shutting down"))
            if not isinstance(error, Exception):
                raise
            return
        finally:
            self._in_flight -= len(batch)
        await self._hand_out(answers, together)

    async def _hand_out(self, answers: Sequence[Answer], together: _Together) -> None:
        """Gives each their own. With `evenly` some at a time: whoever is answered is at work at once, and answers to
        the other calls would wait until all of them have had their turn.
        """
        begin = 0
        try:
            for number, (size, answer) in enumerate(together):
                if self._evenly and number and number % HANDED_OUT_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if not answer.done():
                    answer.set_result(answers[begin : begin + size])
                begin += size
        except BaseException:
            for _, answer in together:
                if not answer.done():
                    answer.set_exception(ConnectionError("shutting down"))
            raise
