"""What a worker's rooms have counted, for /metrics. Owns the running counts; reads the others where they are kept."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.http.figures import Figure

if TYPE_CHECKING:
    from app.rooms.crowd import Crowd
    from app.rooms.hub import Hub


class Tally:
    """Running counts of all rooms of a worker; rooms that were dropped stay counted."""

    __slots__ = ("demotions", "fresh_starts", "joins", "readings", "resumes", "sweep_s", "sweeps")

    def __init__(self) -> None:
        self.sweeps = 0
        self.sweep_s = 0.0
        self.joins = 0
        self.resumes = 0
        self.demotions = 0
        self.fresh_starts = 0
        self.readings = 0


def room_figures(hub: "Hub", crowd: "Crowd") -> Iterable[Figure]:
    """The figures of one worker."""
    tally, viewers = hub.tally, hub.counts()
    yield Figure("hawker_sockets", "gauge", "Open sockets that were let in", crowd.inside)
    yield Figure("hawker_sockets_offered_total", "counter", "Sockets that asked to come in", crowd.offered)
    yield Figure("hawker_sockets_shed_total", "counter", "Of these, told to come back later or refused", crowd.shed)
    yield Figure("hawker_rooms", "gauge", "Rooms held by this worker", len(viewers))
    yield Figure("hawker_room_viewers", "gauge", "Viewers who have joined a room", sum(viewers.values()))
    yield Figure("hawker_room_joins_total", "counter", "Joins answered", tally.joins)
    yield Figure("hawker_room_resumes_total", "counter", "Joins that continued where they had been", tally.resumes)
    yield Figure("hawker_room_sweeps_total", "counter", "Frames, each written to all live viewers", tally.sweeps)
    yield Figure("hawker_room_sweep_seconds_total", "counter", "Time that writing them took", tally.sweep_s)
    yield Figure("hawker_room_demotions_total", "counter", "Viewers whose socket took no more", tally.demotions)
    yield Figure(
        "hawker_room_fresh_starts_total",
        "counter",
        "Rooms whose viewers all got a snapshot",
        tally.fresh_starts,
    )
    yield Figure(
        "hawker_room_readings_total", "counter", "Whole rooms read: first viewers, holes, reconnects", tally.readings
    )
