"""The relay's SDP answers, as the ICE-lite and DTLS-passive side of one bundled transport.

Pure: an offer and the room's numbers in, the answer's text out, with the payload types both sides will use. It
decides no admission and keeps nothing.
"""

from typing import Final

import msgspec

from app.refusal import Refusal
from app.streams.relay.limits import BITRATE_MAX, BITRATE_START
from app.streams.relay.offer import FEEDBACK, Codec, Media, Offer

_FEEDBACK_VIDEO: Final = FEEDBACK
_FEEDBACK_AUDIO: Final = ("nack",)
CNAME: Final = "hawker"


class Local(msgspec.Struct, frozen=True):
    """Our side of one session's transport."""

    ufrag: str
    password: str
    fingerprint: tuple[str, str]
    addresses: tuple[str, ...]
    port: int
    origin: int  # the number in the o= line


class RoomSources(msgspec.Struct, frozen=True):
    """The SSRCs under which a room's media goes to every viewer."""

    video: int
    video_rtx: int
    audio: int


class Answer(msgspec.Struct, frozen=True):
    """The text, and which codecs it accepted per kind: one for a publisher, all in common for a viewer."""

    sdp: str
    video: tuple[Codec, ...]
    audio: tuple[Codec, ...]


def answer_publisher(offer: Offer, local: Local) -> Answer | Refusal:
    """Accepts the first codec we share of each kind, so that the room has exactly one picture and one sound."""
    chosen: dict[str, tuple[Codec, ...]] = {"video": (), "audio": ()}
    for kind in chosen:
        media = offer.served(kind)
        if media is None:
            continue
        if media.direction not in {"sendonly", "sendrecv"}:
            return Refusal("sdp_unserved", f"A publisher sends: its {kind} is {media.direction}.")
        chosen[kind] = media.codecs[:1]
    lines = _session_lines(offer, local)
    for media in offer.media:
        if media is not offer.served(media.kind):
            lines += _refused_lines(media)
            continue
        codecs = chosen[media.kind]
        lines += _media_lines(offer, media, codecs, local, "recvonly")
        for codec in codecs:
            lines += _codec_lines(codec, media.kind, _publisher_fmtp(codec))
    return Answer("\r\n".join(lines) + "\r\n", chosen["video"], chosen["audio"])


def answer_viewer(offer: Offer, local: Local, sources: RoomSources) -> Answer | Refusal:
    """Accepts every codec we share: the publisher may change, and with it the codec, while the viewer stays."""
    accepted: dict[str, tuple[Codec, ...]] = {"video": (), "audio": ()}
    lines = _session_lines(offer, local)
    for media in offer.media:
        if media is not offer.served(media.kind):
            lines += _refused_lines(media)
            continue
        if media.direction not in {"recvonly", "sendrecv"}:
            return Refusal("sdp_unserved", f"A viewer receives: its {media.kind} is {media.direction}.")
        accepted[media.kind] = media.codecs
        lines += _media_lines(offer, media, media.codecs, local, "sendonly")
        for codec in media.codecs:
            lines += _codec_lines(codec, media.kind, codec.fmtp)
        lines += _source_lines(media, sources)
    return Answer("\r\n".join(lines) + "\r\n", accepted["video"], accepted["audio"])


def codec_for(wanted: Codec, offered: tuple[Codec, ...]) -> Codec | None:
    """The codec under which a viewer is sent what the publisher sends as `wanted`.

    Of H264 the same profile is best and any other still decodes: the payload type only picks the decoder.
    """
    same = [codec for codec in offered if codec.name == wanted.name]
    if not same or wanted.name != "H264":
        return same[0] if same else None
    for length in (6, 4, 2):
        for codec in same:
            if codec.profile[:length] == wanted.profile[:length]:
                return codec
    return same[0]


def _session_lines(offer: Offer, local: Local) -> list[str]:
    mids = [media.mid for media in offer.media if media is offer.served(media.kind)]
    return [
        "v=0",
        f"o=- {local.origin} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(mids)}",
        "a=msid-semantic: WMS *",
    ]


def _refused_lines(media: Media) -> list[str]:
    return [
        f"m={media.kind} 0 {media.profile} {' '.join(media.formats)}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        f"a=mid:{media.mid}",
    ]


def _media_lines(offer: Offer, media: Media, codecs: tuple[Codec, ...], local: Local, direction: str) -> list[str]:
    types = [str(pt) for codec in codecs for pt in (codec.red, codec.payload_type, codec.rtx) if pt is not None]
    algorithm, value = local.fingerprint
    lines = [
        f"m={media.kind} 9 {media.profile} {' '.join(types)}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:{algorithm} {value}",
        f"a=setup:{'active' if offer.waits else 'passive'}",
        f"a=mid:{media.mid}",
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
    ]
    for place, address in enumerate(local.addresses):
        # Host candidates of one component: type preference 126, the first address before the others (RFC 8445, 5.1.2).
        priority = (126 << 24) | ((65_535 - place) << 8) | 255
        lines.append(f"a=candidate:{place + 1} 1 udp {priority} {address} {local.port} typ host")
    return [*lines, "a=end-of-candidates"]


def _codec_lines(codec: Codec, kind: str, fmtp: str) -> list[str]:
    rate = "48000/2" if codec.name == "opus" else "90000"
    lines = [f"a=rtpmap:{codec.payload_type} {codec.name}/{rate}"]
    known = _FEEDBACK_VIDEO if kind == "video" else _FEEDBACK_AUDIO
    lines += [f"a=rtcp-fb:{codec.payload_type} {one}" for one in known if one in codec.feedback]
    if fmtp:
        lines.append(f"a=fmtp:{codec.payload_type} {fmtp}")
    if codec.red is not None:  # before the codec itself in the m-line: what stands first is what a browser sends
        lines += [f"a=rtpmap:{codec.red} red/48000/2", f"a=fmtp:{codec.red} {codec.payload_type}/{codec.payload_type}"]
    if codec.rtx is not None:
        lines += [f"a=rtpmap:{codec.rtx} rtx/90000", f"a=fmtp:{codec.rtx} apt={codec.payload_type}"]
    return lines


def _publisher_fmtp(codec: Codec) -> str:
    """The offer's own parameters, and for video the bitrate to begin with: libwebrtc's own is 300 kbit/s."""
    if codec.name == "opus":
        return codec.fmtp
    start = f"x-google-start-bitrate={BITRATE_START // 1000};x-google-max-bitrate={BITRATE_MAX // 1000}"
    return f"{codec.fmtp};{start}" if codec.fmtp else start


def _source_lines(media: Media, sources: RoomSources) -> list[str]:
    """Names the room's SSRCs: without a mid extension in the packets they tell the m-lines apart."""
    rtx = media.kind == "video" and any(codec.rtx is not None for codec in media.codecs)
    ssrc = sources.video if media.kind == "video" else sources.audio
    lines = [f"a=msid:{CNAME} {media.kind}"]
    if rtx:
        lines.append(f"a=ssrc-group:FID {ssrc} {sources.video_rtx}")
    for one in (ssrc, sources.video_rtx) if rtx else (ssrc,):
        lines += [f"a=ssrc:{one} cname:{CNAME}", f"a=ssrc:{one} msid:{CNAME} {media.kind}"]
    return lines
