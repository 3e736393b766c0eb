"""What the media role tells Prometheus, on its inner HTTP. Owns names and meanings; the relay counts."""

from collections.abc import Iterator

from app.http.figures import Figure
from app.streams.relay.wire import RelayFigures


def media_figures(now: RelayFigures) -> Iterator[Figure]:
    """The figures of one media process."""
    rooms = now.rooms
    viewers = sum(room.viewers for room in rooms)
    lost = sum(room.viewers * room.viewers_loss_percent for room in rooms) / max(1, viewers)
    trips_ms = [room.round_trip_ms for room in rooms if room.round_trip_ms is not None]
    yield Figure("hawker_media_sessions", "gauge", "Sessions of publishers and viewers", now.sessions)
    yield Figure("hawker_media_publishers", "gauge", "Shows that are published", sum(room.publishing for room in rooms))
    yield Figure("hawker_media_viewers", "gauge", "Viewers in all rooms", viewers)
    yield Figure("hawker_media_kbps", "gauge", "What publishers send, kbit/s", sum(room.bitrate_kbps for room in rooms))
    yield Figure(
        "hawker_media_viewers_kbps",
        "gauge",
        "What viewers are sent, repair included, kbit/s",
        sum(room.viewers_kbps for room in rooms),
    )
    yield Figure("hawker_media_viewers_loss_percent", "gauge", "What viewers lost before repair, their mean", lost)
    yield Figure(
        "hawker_media_round_trip_ms", "gauge", "To viewers, the slowest room's median", max(trips_ms, default=0)
    )
    yield Figure("hawker_media_datagrams_in_total", "counter", "Datagrams received", now.datagrams_in)
    yield Figure("hawker_media_datagrams_out_total", "counter", "Datagrams sent", now.datagrams_out)
    yield Figure(
        "hawker_media_dropped_total", "counter", "Datagrams from nobody, or that could not go out", now.dropped
    )
