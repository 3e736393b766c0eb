"""What a room remembers of one kind of media: its last packets by place, and where the last group of pictures began.

Pure. One history answers all viewers' NACKs and gives every joiner its first picture.
"""

from app.streams.relay.rewrite import Placed


class History:
    """A ring of the last `size` places; `size` is a power of two."""

    def __init__(self, size: int) -> None:
        assert size & (size - 1) == 0, size
        self._slots: list[Placed | None] = [None] * size
        self._mask = size - 1
        self.group: int | None = None  # the place where the last group begins
        self.group_s = 0.0
        self.group_interval_s: float | None = None  # from the beginning of the group before
        self._group_timestamp = b""

    def put(self, placed: Placed, now_s: float) -> bool:
        """Keeps a packet. False when it is there already."""
        slot = self._slots[placed.place & self._mask]
        if slot is not None and slot.place >= placed.place:
            return False
        self._slots[placed.place & self._mask] = placed
        # Parameter sets and the picture behind them share a timestamp: the group begins at the first of them.
        if placed.key and placed.data[4:8] != self._group_timestamp and placed.place > (self.group or 0):
            self.group_interval_s = None if self.group is None else now_s - self.group_s
            self.group, self.group_s, self._group_timestamp = placed.place, now_s, placed.data[4:8]
        return True

    def get(self, place: int) -> Placed | None:
        """The packet at a place, if it is still (or already) there."""
        slot = self._slots[place & self._mask]
        return slot if slot is not None and slot.place == place else None

    def group_kept(self) -> bool:
        """Whether the last group's first packet is still there."""
        return self.group is not None and self.get(self.group) is not None

    def forget_group(self) -> None:
        """The publisher is another one: what is kept no longer leads up to what comes."""
        self.group = None
        self._group_timestamp = b""
