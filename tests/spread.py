"""How files of tests are given out to pytest-xdist's processes: at most one of them runs journeys at a time.

A journey wants more than a core for its Chromium, and two at once starve each other, while those that speak the
protocol wait more than they work. So one process begins at the front of the files, with the journeys, and all others at
the back; where they meet nobody is left with much.
"""

from pathlib import PurePath

from xdist.scheduler import LoadFileScheduling

FROM_FRONT_TO_BACK = ("journeys", "faults", "rules", "architecture", "storage", "protocol")


def place(path: PurePath) -> int:
    """Where a file of tests stands among the others."""
    return FROM_FRONT_TO_BACK.index(path.parent.name)


class FromBothEnds(LoadFileScheduling):
    """Gives whole files: to the first process from the front, to the others from the back."""

    def _assign_work_unit(self, node) -> None:
        if node is not self.nodes[0]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
