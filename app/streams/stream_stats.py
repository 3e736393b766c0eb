"""What the studio shows of a stream: how it arrives at the relay. Owns the answer's shape; the relay measures."""

from msgspec import Struct

from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.streams.media_parts import Media


class StreamStats(Struct, frozen=True):
    """The last second or so of a show's stream. Zeros while nobody publishes; `width` and `height` are those of the
    last key frame. `viewers_loss_percent` is what viewers say of the way to them, before what was lost is sent again;
    `viewer_kbps` what one of them is sent, with that (the median).
    """

    publishing: bool
    viewers: int
    codec: str
    bitrate_kbps: int
    fps: int
    width: int
    height: int
    loss_percent: float
    key_frame_age_ms: int | None
    key_frame_interval_ms: int | None
    viewers_loss_percent: float
    round_trip_ms: int | None
    viewer_kbps: int | None


async def read_stream(media: Media, call: Call) -> Reply | Refusal:
    """GET /api/shows/{show}/stream: bitrate, frames, size, loss and key frames of what the host sends."""
    figures = await media.control.show(call.path["show"])
    if isinstance(figures, Refusal):
        return figures
    return Reply(
        StreamStats(
            publishing=figures.publishing,
            viewers=figures.viewers,
            codec=figures.codec,
            bitrate_kbps=figures.bitrate_kbps,
            fps=figures.fps,
            width=figures.width,
            height=figures.height,
            loss_percent=figures.loss_percent,
            key_frame_age_ms=figures.key_frame_age_ms,
            key_frame_interval_ms=figures.key_frame_interval_ms,
            viewers_loss_percent=figures.viewers_loss_percent,
            round_trip_ms=figures.round_trip_ms,
            viewer_kbps=figures.viewer_kbps,
        )
    )
