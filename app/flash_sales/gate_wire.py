"""The stock gate's words: what goes into its scripts and what comes out, as MessagePack (the label as JSON text,
because a Lua string that is not UTF-8 could not come back).

Owns the shapes and the key names; the meaning is in hold.lua's header. The order of the fields is the wire.
"""

import hashlib
from functools import lru_cache
from typing import Any, Final

import msgspec

HOLD_SEPARATOR: Final = "-"  # never part of an id
_PLACE_LENGTH: Final = 20
DUE_NEVER_MS: Final = 2**53
"""What a gate's `due` says when it holds nothing: no hold ends before it."""
_SHARDS: Final = "abcdef"
_SHARES: Final = (31, 35, 40, 44, 50, 56)  # of 256: each is the last times the sixth root of two
_SHARD_OF: Final = "".join(shard * share for shard, share in zip(_SHARDS, _SHARES, strict=True))
_POOLS_KEPT: Final = 4096


class GateKeys(msgspec.Struct, frozen=True):
    """The keys of one pool. One hash tag: a cluster keeps them on one node.

    What grows with every hold that lives lies in shards of unequal size. A table of Valkey's is moved into one of
    twice its size while it is used, which makes a hold there cost twice as much for a while: shards come to that one
    after the other, where a single table would make all holds wait (bench/flash_sales/README.md).
    """

    config: str
    over: str
    waiting: str
    holds: tuple[str, ...]
    live: tuple[str, ...]
    buyers: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """In the order of hold.lua."""
        return [self.config, self.over, self.waiting, *self.holds, *self.live, *self.buyers]


@lru_cache(_POOLS_KEPT)
def gate_keys(pool: str) -> GateKeys:
    """The keys of the pool's gate."""
    tagged = f"{{pool:{pool}}}:"
    return GateKeys(
        f"{tagged}gate",
        f"{tagged}over",
        f"{tagged}waiting",
        *(tuple(f"{tagged}{part}:{shard}" for shard in _SHARDS) for part in ("holds", "live", "buyers")),
    )


def keys_before_shards(pool: str) -> list[str]:
    """Where an earlier Hawker kept the pool's gate, on a Valkey that outlived it."""
    return [f"{{pool:{pool}}}:{part}" for part in ("config", "holds", "live", "buyers")]


def hold_id(pool: str, person: str, key: str, fresh: str) -> str:
    """A new hold's id. It names its pool, and its place there: what asks again with the same key finds it there.

    `fresh` is a new id: a place is used again once its hold has been over for long.
    """
    return f"{pool}{HOLD_SEPARATOR}{place_for(person, key)}{fresh}"


def place_for(person: str, key: str) -> str:
    """Where a pool keeps what this person asked for with this idempotency key: 20 characters, the first its shard."""
    digest = hashlib.blake2b(f"{person}\0{key}".encode(), digest_size=_PLACE_LENGTH // 2).digest()
    return _SHARD_OF[digest[0]] + digest.hex()[1:]


def place_of(hold: str) -> str:
    """The place in a hold's id."""
    own = hold.rpartition(HOLD_SEPARATOR)[2]
    return own[:_PLACE_LENGTH] if len(own) > _PLACE_LENGTH else hold


def pool_of(hold: str) -> str | None:
    """The pool in a hold's id, or None when it cannot be one."""
    pool, separator, fresh = hold.rpartition(HOLD_SEPARATOR)
    return pool if separator and fresh and len(hold) <= 80 else None


class HoldRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A hold as the gate keeps it. `attempt` is "" unless a payment is in flight."""

    state: str
    person: str
    quantity: int
    price_minor: int
    expires_at_ms: int
    first_expires_at_ms: int
    granted_at_ms: int
    key: str
    body: str
    show: str
    attempt: str
    id: str


class GateAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to one operation. `hold` is False when there is none to show."""

    code: str
    wait_ms: int
    hold: HoldRecord | bool


class GateResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one script call saw and did. `epoch` 0: the gate has no configuration and decided nothing.

    `ended` are holds that expired, or that the house released, and whose owners have not been told.
    """

    now_ms: int
    epoch: int
    n: int
    left: int
    held: int
    sold: int
    allotment: int
    state: str
    label: str
    ended: list[HoldRecord]
    answers: list[GateAnswer]

    @property
    def version(self) -> int:
        """Grows with every change of the counters, over epochs too. Stays below 2^53 for two million rebuilds."""
        return (self.epoch << 32) + self.n


class PoolLabel(msgspec.Struct, frozen=True):
    """What a hold's view and the room say beside the gate's own numbers. `show` and `sale` are "" for ordinary stock.

    `price_minor` is what the next grant costs, `campaign` the name of the campaign behind it, else "".
    """

    shop: str
    show: str
    sale: str
    product: str
    variant: str
    title: str
    currency: str
    list_minor: int
    price_minor: int = 0
    campaign: str = ""


class PoolConfig(msgspec.Struct, frozen=True):
    """A pool's row in Postgres, as the gate needs it. Limits and edges of the window are 0 for none."""

    pool: str
    epoch: int
    allotment: int
    sold: int
    price_minor: int
    per_buyer_limit: int
    starts_at_ms: int
    ends_at_ms: int
    state: str
    label: PoolLabel


encode: Final = msgspec.msgpack.Encoder().encode
_decode_result: Final = msgspec.msgpack.Decoder(GateResult).decode
_decode_label: Final = msgspec.json.Decoder(PoolLabel).decode


def decode_result(packed: bytes) -> GateResult:
    """The result of hold.lua."""
    return _decode_result(packed)


def decode_label(text: str) -> PoolLabel:
    """The label that install.lua and pool.lua wrote."""
    return _decode_label(text)


def encode_label(label: PoolLabel) -> str:
    """The label as the gate carries it."""
    return msgspec.json.encode(label).decode()


def encode_operations(operations: list[tuple[Any, ...]]) -> bytes:
    """A batch for hold.lua."""
    return encode(operations)
