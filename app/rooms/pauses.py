"""Keeps the garbage collector from stopping a process that holds ten thousand sockets. Owns its settings, no object.

A full collection visits every object of every socket: half a second. What has survived two young collections is
therefore taken out of the collector's sight, and from then on freed by its reference count alone. That works because
a socket leaves no cycle behind when it ends; tests/protocol/test_room_memory.py holds it to that.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

YOUNG_OBJECTS: Final = 500
YOUNG_COLLECTIONS: Final = 2
"""Every third also looks at what survived the others, and freezes the rest: some 1,500 objects, well under 1 ms."""


def _freeze(phase: str, info: Mapping[str, int]) -> None:
    if phase == "stop" and info["generation"] > 0:
        gc.freeze()


@contextmanager
def short_pauses() -> Iterator[None]:
    """Within it no collection sees more than the young objects."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS)
    gc.callbacks.append(_freeze)
    try:
        yield
    finally:
        gc.callbacks.remove(_freeze)
        gc.set_threshold(*before)
        gc.unfreeze()
