"""What a client's SDP offer says, read into plain values, or a refusal that says why it cannot be served.

Pure. aiortc's parser does the reading; this module bounds what it is fed and keeps what the relay acts on. It writes
no SDP (answer.py) and accepts everything that WHIP and WHEP clients are known to send.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import MediaDescription, SessionDescription

from app.refusal import Refusal
from app.streams.relay.limits import (
    CANDIDATES_MAX,
    FRAGMENT_BYTES_MAX,
    SDP_BYTES_MAX,
    SDP_CODECS_MAX,
    SDP_FEEDBACK_MAX,
    SDP_FEEDBACK_TIMES_CODECS_MAX,
    SDP_LINES_MAX,
    SDP_MEDIA_LINE_MAX,
    SDP_MEDIA_MAX,
    SDP_SOURCES_MAX,
)

# RFC 8839: ufrag of 4..256 and password of 22..256 ice-chars.
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){19,63}[0-9A-Fa-f]{2}")
_FMTP: Final = re.compile(r"[\x21-\x7e ]{0,512}")
_LONG_MEDIA_LINE: Final = re.compile(rf"\nm=[^\n]{{{SDP_MEDIA_LINE_MAX - 1}}}")
_KNOWN_MAX: Final = 256
_SHAPES_MAX: Final = 64  # of up to 64 KiB each
_FINGERPRINTS: Final = "a=fingerprint"
_OWN: Final = ("a=ice-ufrag:", "a=ice-pwd:", f"{_FINGERPRINTS}:")
_PASSED_OVER: Final = ("o=", "a=candidate:")
_LOOKED_INTO: Final = (*_OWN, *_PASSED_OVER, "m=")
_FEEDBACK: Final = "a=rtcp-fb:"
FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "goog-remb")  # all that is ever answered
_DIGESTS: Final = frozenset({"sha-256", "sha-384", "sha-512"})

# All that aiortc's parser raises on lines that are not SDP; a test feeds it garbage to keep this list true.
_PARSER_FAILURES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    StopIteration,
    TypeError,
    UnboundLocalError,
    ValueError,
)


class Codec(msgspec.Struct, frozen=True):
    """One codec of an offer that the relay can carry. `rtx` is the payload type of its retransmissions, `red` the one
    under which each packet of sound carries the one before it once more.
    """

    name: str  # VP8, H264 or opus
    payload_type: int
    rtx: int | None = None
    red: int | None = None
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    @property
    def profile(self) -> str:
        """H264's profile-level-id in lower case; the default of RFC 6184 when the offer names none."""
        return _parameter(self.fmtp, "profile-level-id") or "420010"


class Media(msgspec.Struct, frozen=True):
    """One m-line. `codecs` is empty for what the relay cannot carry, which is answered with port 0."""

    kind: str
    mid: str
    profile: str
    formats: tuple[str, ...]
    direction: str
    codecs: tuple[Codec, ...] = ()
    ssrcs: tuple[int, ...] = ()
    rtx_ssrcs: tuple[int, ...] = ()


class Offer(msgspec.Struct, frozen=True):
    """A whole offer. All m-lines that are served share one transport: its ufrag, password and fingerprints."""

    media: tuple[Media, ...]
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    waits: bool  # a=setup:passive: the handshake is ours to begin

    def served(self, kind: str) -> Media | None:
        """The m-line of `kind` that the relay carries, if any."""
        return next((media for media in self.media if media.kind == kind and media.codecs), None)


class Fragment(msgspec.Struct, frozen=True):
    """A trickled fragment: what it names, and how many candidates of use it holds (none is ever probed: ICE-lite)."""

    ufrag: str
    password: str
    candidates: int


def _malformed(why: str) -> Refusal:
    return Refusal("sdp_malformed", f"This is not an SDP offer that can be read: {why}.")


def _unserved(why: str) -> Refusal:
    return Refusal("sdp_unserved", f"This offer cannot be served whole: {why}.")


class _Shape(msgspec.Struct, frozen=True):
    """What an offer says in the words of all clients of one make. The numbers are places among its own values."""

    media: tuple[Media, ...]
    ufrag: int | None
    password: int | None
    fingerprints: tuple[int, ...]
    role: str  # of DTLS; empty where a=setup is missing
    muxed: bool


def read_offer(sdp: str) -> Offer | Refusal:
    """The offer in `sdp`, or why not: `sdp_malformed` for what is no offer, `sdp_unserved` for what we cannot do."""
    if len(sdp) > SDP_BYTES_MAX:
        return Refusal("too_large", f"The offer may have {SDP_BYTES_MAX} bytes at most.")
    lines = sdp.splitlines()  # as the parser does: it takes more for a line's end than a line feed
    refused = _too_much("\n".join(lines))
    if refused is not None:
        return refused
    text, own = _without_own(lines)
    # Nobody will name a publisher's sources again: what is kept is for viewers.
    shape = _read_shape.__wrapped__(text) if "\na=ssrc" in text else _read_shape(text)
    return shape if isinstance(shape, Refusal) else _with_transport(shape, own)


def _without_own(offered: list[str]) -> tuple[str, list[str]]:
    """The offer with a number in place of each value that is its session's own, and those values. Origin, candidates
    and feedback that we never give, which nobody looks at, are left out, and feedback that is named twice.
    """
    lines: list[str] = []
    own: list[str] = []
    feedback: set[str] = set()
    for line in offered:
        if line.startswith(_FEEDBACK):
            if line not in feedback and line.partition(" ")[2] in FEEDBACK:
                lines.append(line)
                feedback.add(line)
        elif not line.startswith(_LOOKED_INTO):
            lines.append(line)
        elif line.startswith("m="):
            lines.append(line)
            feedback.clear()
        elif line.startswith(_OWN):
            name, _, value = line.partition(":")
            if name != _FINGERPRINTS:
                lines.append(f"{name}:{len(own)}")
            elif len(value.split()) == 2:
                lines.append(f"{name}:{len(own)} -")
            else:
                lines.append(line)  # the parser says what is wrong with it
            own.append(value)
    return "\n".join(lines), own


@lru_cache(_SHAPES_MAX)
def _read_shape(text: str) -> _Shape | Refusal:
    """Parses once what all browsers of one make say in the same words: that is half a millisecond each time."""
    try:
        parsed = SessionDescription.parse(text)
    except _PARSER_FAILURES:
        return _malformed("a line is not as RFC 8866 has it")
    media = tuple(_media(one) for one in parsed.media)
    refused = _shape_refused(parsed, media)
    if refused is not None:
        return refused
    first = next(one for one, read in zip(parsed.media, media, strict=True) if read.codecs)
    assert first.ice is not None, "the parser gives every m-line its ICE parameters"
    ufrag, password, dtls = first.ice.usernameFragment, first.ice.password, first.dtls
    return _Shape(
        media,
        None if ufrag is None else int(ufrag),
        None if password is None else int(password),
        () if dtls is None else tuple(int(one.algorithm) for one in dtls.fingerprints),
        "" if dtls is None else dtls.role,
        first.rtcp_mux,
    )


def _shape_refused(parsed: SessionDescription, media: tuple[Media, ...]) -> Refusal | None:
    """What is wrong with the m-lines as a whole, if anything."""
    mids = [one.mid for one in media]
    if not media or not all(_TOKEN.fullmatch(mid) for mid in mids) or len(set(mids)) != len(mids):
        return _malformed("it needs m-lines, each with a mid of its own")
    if not all(0 <= ssrc < 1 << 32 for one in media for ssrc in one.ssrcs + one.rtx_ssrcs):
        return _malformed("an SSRC has 32 bits")
    served = [one for one in media if one.codecs]
    if not served:
        return _unserved("it has no codec in common with us (VP8, H264 and Opus are)")
    if len(served) != len({one.kind for one in served}):
        return _unserved("more than one track of a kind")
    if len(served) > 1 and not _bundled(parsed, {one.mid for one in served}):
        return _unserved("its m-lines are not in one BUNDLE group")
    return None


def _with_transport(shape: _Shape, own: list[str]) -> Offer | Refusal:
    """The offer, once its ICE credentials and DTLS parameters make sense."""
    ufrag, password = ("" if place is None else own[place] for place in (shape.ufrag, shape.password))
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        return _malformed("ice-ufrag and ice-pwd are missing or not as RFC 8839 has them")
    if not shape.role:
        return _malformed("a=setup is missing")
    told = (own[place].split() for place in shape.fingerprints)
    fingerprints = tuple((algorithm.lower(), value.upper()) for algorithm, value in told)
    known = tuple(one for one in fingerprints if one[0] in _DIGESTS and _FINGERPRINT.fullmatch(one[1]))
    if not known:
        return _malformed("a fingerprint of SHA-256 or longer is missing")
    if not shape.muxed:
        return _unserved("it does not multiplex RTCP")
    return Offer(shape.media, ufrag, password, known[:4], waits=shape.role == "server")


def _too_much(text: str) -> Refusal | None:
    """Keeps the parser from work that grows with the square of what it is sent. Lines end in line feeds alone."""
    if not text.startswith("v=0"):
        return _malformed("it does not begin with v=0")
    if _LONG_MEDIA_LINE.search(text):
        return _malformed(f"an m-line is longer than {SDP_MEDIA_LINE_MAX} characters")
    codecs, feedback = text.count("\na=rtpmap"), text.count("\na=rtcp-fb")
    counts = (
        (text.count("\n"), SDP_LINES_MAX, "lines"),
        (text.count("\nm="), SDP_MEDIA_MAX, "m-lines"),
        (codecs, SDP_CODECS_MAX, "codecs"),
        (text.count("\na=fmtp"), SDP_CODECS_MAX, "parameters of codecs"),
        (feedback, SDP_FEEDBACK_MAX, "feedback lines"),
        (codecs * feedback, SDP_FEEDBACK_TIMES_CODECS_MAX, "feedback lines times codecs"),
        (text.count("\na=ssrc"), SDP_SOURCES_MAX, "lines about sources"),
        (text.count("\na=candidate"), CANDIDATES_MAX, "candidates"),
    )
    for count, most, what in counts:
        if count > most:
            return _malformed(f"it has {count} {what}, of {most} at most")
    return None


def _bundled(parsed: SessionDescription, mids: set[str]) -> bool:
    return any(group.semantic == "BUNDLE" and mids <= set(group.items) for group in parsed.group)


def _media(parsed: MediaDescription) -> Media:
    retransmitted = {int(rtx) for group in parsed.ssrc_group if group.semantic == "FID" for rtx in group.items[1:]}
    ssrcs = tuple(one.ssrc for one in parsed.ssrc)[:8]
    return Media(
        kind=parsed.kind,
        mid=parsed.rtp.muxId or "",
        profile=parsed.profile,
        formats=tuple(str(one) for one in parsed.fmt),
        direction=parsed.direction or "sendrecv",
        codecs=_codecs(parsed) if parsed.kind in {"audio", "video"} else (),
        ssrcs=tuple(one for one in ssrcs if one not in retransmitted),
        rtx_ssrcs=tuple(one for one in ssrcs if one in retransmitted),
    )


@lru_cache(_KNOWN_MAX)
def _known(codecs: tuple[Codec, ...]) -> tuple[Codec, ...]:
    """The very tuple that an earlier offer had: browsers of one make say the same, and each session keeps it."""
    return codecs


def _codecs(parsed: MediaDescription) -> tuple[Codec, ...]:
    """The codecs we carry, in the offer's order of preference."""
    by_type = {codec.payloadType: codec for codec in parsed.rtp.codecs if codec.payloadType in range(128)}
    rtx = {codec.parameters.get("apt"): number for number, codec in by_type.items() if codec.name.lower() == "rtx"}
    # fmtp "111/111": a packet of payload type 111 and one more.
    red = {
        _fmtp(codec).partition("/")[0]: number
        for number, codec in by_type.items()
        if codec.mimeType.lower() == "audio/red" and codec.clockRate == _RATES["opus"]
    }
    return _known(
        tuple(
            Codec(
                name=_NAMES[by_type[number].mimeType.lower()],
                payload_type=number,
                rtx=rtx.get(number),
                red=red.get(str(number)),
                fmtp=_fmtp(by_type[number]),
                feedback=_feedback(by_type[number]),
            )
            for number in dict.fromkeys(parsed.fmt)
            if number in by_type and _carried(by_type[number])
        )
    )


def _feedback(codec: RTCRtpCodecParameters) -> tuple[str, ...]:
    words = (f"{one.type} {one.parameter}" if one.parameter else one.type for one in codec.rtcpFeedback)
    return tuple(dict.fromkeys(words))


_NAMES: Final = {"video/vp8": "VP8", "video/h264": "H264", "audio/opus": "opus"}
_RATES: Final = {"VP8": 90_000, "H264": 90_000, "opus": 48_000}


def _carried(codec: RTCRtpCodecParameters) -> bool:
    name = _NAMES.get(codec.mimeType.lower())
    if name is None or codec.clockRate != _RATES[name] or not _FMTP.fullmatch(_fmtp(codec)):
        return False
    # Mode 0 knows no fragmentation units: its pictures would not fit into packets.
    return name != "H264" or str(codec.parameters.get("packetization-mode")) == "1"


def _fmtp(codec: RTCRtpCodecParameters) -> str:
    return ";".join(key if value is None else f"{key}={value}" for key, value in codec.parameters.items())


def _parameter(fmtp: str, name: str) -> str:
    for one in fmtp.split(";"):
        key, _, value = one.strip().partition("=")
        if key.lower() == name:
            return value.strip().lower()
    return ""


def read_fragment(body: str) -> Fragment | Refusal:
    """A trickle-ice-sdpfrag (RFC 8840). Candidates over TCP or under mDNS names are passed over, as all are in the
    end: an ICE-lite agent learns where its peer is from the peer's own checks.
    """
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    if len(body) > FRAGMENT_BYTES_MAX or len(lines) > SDP_LINES_MAX or not lines:
        return _malformed("the fragment is empty or too long")
    if any(len(line) < 3 or line[0] not in "am" or line[1] != "=" for line in lines):
        return _malformed("a fragment holds only a= and m= lines")
    values: dict[str, str] = {}
    candidates = 0
    for line in lines:
        name, _, value = line[2:].partition(":")
        if name == "candidate":
            parts = value.split()
            if len(parts) < 8 or parts[6] != "typ" or not parts[5].isdecimal() or int(parts[5]) > 65_535:
                return _malformed("a candidate is not as RFC 8839 has it")
            candidates += parts[2].lower() == "udp" and not parts[4].endswith(".local")
        elif line.startswith("a="):
            values.setdefault(name, value)
    ufrag, password = values.get("ice-ufrag", ""), values.get("ice-pwd", "")
    if candidates > CANDIDATES_MAX:
        return _malformed("too many candidates")
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        return _malformed("the fragment names no ice-ufrag and ice-pwd")
    return Fragment(ufrag, password, candidates)
