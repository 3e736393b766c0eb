"""Offers of real clients are read and answered as they expect; any other text is refused, and nothing raises."""

import random
from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from app.refusal import Refusal
from app.streams.relay.answer import Local, RoomSources, answer_publisher, answer_viewer, codec_for
from app.streams.relay.offer import FEEDBACK, Codec, Fragment, Offer, _known, _read_shape, read_fragment, read_offer

OFFERS = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "offers").glob("*.sdp")}
PUBLISHERS = ["browser_publisher", "encoder", "waiting_encoder"]
LOCAL = Local("ourufrag", "ourpassword", ("sha-256", "AB:" * 31 + "AB"), ("127.0.0.1", "192.0.2.1"), 8000, 1)
SOURCES = RoomSources(video=1001, video_rtx=1002, audio=1003)


def offer(name: str) -> Offer:
    found = read_offer(OFFERS[name])
    assert isinstance(found, Offer), found
    return found


@pytest.mark.parametrize("name", PUBLISHERS)
def test_every_kind_of_publisher_is_answered_recvonly_with_one_codec_a_kind(name: str):
    answer = answer_publisher(offer(name), LOCAL)
    assert not isinstance(answer, Refusal), answer
    assert len(answer.video) == len(answer.audio) == 1
    parsed = SessionDescription.parse(answer.sdp)
    assert [media.direction for media in parsed.media] == ["recvonly", "recvonly"]
    assert [media.kind for media in parsed.media] == [media.kind for media in offer(name).media]
    for media in parsed.media:
        assert media.rtcp_mux
        assert media.ice.iceLite
        assert [(one.ip, one.port, one.type) for one in media.ice_candidates] == [
            ("127.0.0.1", 8000, "host"),
            ("192.0.2.1", 8000, "host"),
        ]
    assert answer.sdp.count("a=rtcp-mux-only") == 2


def test_a_browser_publishes_vp8_and_an_encoder_h264():
    names = [answer_publisher(offer(name), LOCAL).video[0].name for name in PUBLISHERS]
    assert names == ["VP8", "H264", "H264"]


def test_the_handshake_is_the_others_to_begin_unless_it_waits():
    sides = {name: answer_publisher(offer(name), LOCAL).sdp.partition("a=setup:")[2].split()[0] for name in PUBLISHERS}
    assert sides == {"browser_publisher": "passive", "encoder": "passive", "waiting_encoder": "active"}


def test_a_viewer_is_answered_sendonly_under_the_rooms_own_ssrcs():
    answer = answer_viewer(offer("browser_viewer"), LOCAL, SOURCES)
    parsed = SessionDescription.parse(answer.sdp)
    assert [media.direction for media in parsed.media] == ["sendonly", "sendonly"]
    assert [[one.ssrc for one in media.ssrc] for media in parsed.media] == [[1001, 1002], [1003]]
    assert str(parsed.media[0].ssrc_group[0]) == "FID 1001 1002"
    assert {codec.name for codec in answer.video} == {"VP8", "H264"}
    assert "transport-cc" not in answer.sdp
    assert "a=extmap" not in answer.sdp


def test_a_viewer_gets_h264_under_the_profile_that_is_nearest():
    offered = answer_viewer(offer("browser_viewer"), LOCAL, SOURCES).video
    types = {
        profile: codec_for(Codec("H264", 96, fmtp=f"profile-level-id={profile}"), offered).payload_type
        for profile in ("42e01f", "42001f", "4d0028", "640c1f")
    }
    assert types == {"42e01f": 108, "42001f": 102, "4d0028": 116, "640c1f": 102}
    assert codec_for(Codec("VP8", 120), offered).payload_type == 96
    assert codec_for(Codec("VP8", 120), ()) is None


def test_a_publisher_that_only_receives_is_refused():
    assert answer_publisher(offer("browser_viewer"), LOCAL).code == "sdp_unserved"


@pytest.mark.parametrize(("direction", "served"), [("sendonly", True), ("sendrecv", True), ("inactive", False)])
def test_a_publisher_may_offer_to_receive_too_but_must_send(direction: str, served: bool):
    found = read_offer(OFFERS["encoder"].replace("a=sendonly", f"a={direction}"))
    answer = answer_publisher(found, LOCAL)
    if not served:
        assert answer.code == "sdp_unserved"
        return
    assert answer.sdp.count("a=recvonly") == 2
    assert "a=sendrecv" not in answer.sdp


def test_a_viewer_that_only_sends_is_refused():
    assert answer_viewer(offer("encoder"), LOCAL, SOURCES).code == "sdp_unserved"


def test_a_media_line_of_another_kind_is_declined_and_the_rest_served():
    text = OFFERS["encoder"] + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"
    answer = answer_publisher(read_offer(text), LOCAL)
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel" in answer.sdp
    assert "a=group:BUNDLE 0 1\r\n" in answer.sdp


def test_what_all_offers_of_one_make_say_is_read_once_and_each_keeps_its_own_values():
    text = OFFERS["browser_viewer"]
    first = offer("browser_viewer")
    read = _read_shape.cache_info().misses
    own = {"a=ice-ufrag": "0AB/", "a=ice-pwd": "a" * 24, "a=fingerprint": "sha-512 " + ":".join(["0F"] * 64)}
    lines = [f"{line.partition(':')[0]}:{own[line.partition(':')[0]]}" if line.partition(":")[0] in own else line
             for line in text.split("\r\n")]  # fmt: skip
    lines.insert(-1, "a=candidate:1 1 udp 2130706431 192.0.2.9 1234 typ host")
    lines[1] = "o=- 2 3 IN IP4 192.0.2.9"
    second = read_offer("\r\n".join(lines))
    assert isinstance(second, Offer), second
    assert _read_shape.cache_info().misses == read
    assert (second.ufrag, second.password) == ("0AB/", "a" * 24)
    assert second.fingerprints == (("sha-512", ":".join(["0F"] * 64)),)
    assert second.media is first.media
    assert (first.ufrag, first.password) != (second.ufrag, second.password)
    offer("browser_publisher")
    assert _read_shape.cache_info().misses == read, "a publisher's sources are its own"


def changed(text: str, dice: random.Random) -> str:
    """The offer with one line lost, doubled, moved, cut, mangled or taken from another offer."""
    lines = text.split("\r\n")
    place, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    line, letter = lines[place], chr(dice.randrange(33, 127))
    at = dice.randrange(len(line) + 1)
    put = dice.choice(
        (
            [],
            [line, line],
            [line[:at]],
            [line[:at] + letter + line[at + 1 :]],
            [line[:at] + letter + line[at:]],
            [lines[other], line],
            [dice.choice(LINES)],
        )
    )
    return "\r\n".join(lines[:place] + put + lines[place + 1 :])


def transports_of(text: str) -> list[tuple[str | None, str | None, set[tuple[str, str]]]]:
    """Ufrag, password and fingerprints of each m-line, by the parser alone."""
    passed_over = ("a=candidate:", "a=rtcp-fb:")
    parsed = SessionDescription.parse("\n".join(x for x in text.splitlines() if not x.startswith(passed_over)))
    return [
        (
            media.ice.usernameFragment,
            media.ice.password,
            {(one.algorithm.lower(), one.value.upper()) for one in media.dtls.fingerprints} if media.dtls else set(),
        )
        for media in parsed.media
    ]


def test_what_was_read_before_never_changes_what_is_read():
    """Each offer differs from one that was read before in one line: it is read as if it were the first."""
    dice = random.Random(52)
    texts = [changed(OFFERS[dice.choice(sorted(OFFERS))], dice) for _ in range(250)]
    for text in OFFERS.values():
        read_offer(text)
    warm = [read_offer(text) for text in texts]
    assert len({found.code if isinstance(found, Refusal) else "served" for found in warm}) == 3, "all kinds of outcome"
    for text, found in zip(texts, warm, strict=True):
        _read_shape.cache_clear()
        _known.cache_clear()
        assert read_offer(text) == found
        if isinstance(found, Offer):
            own = [told for *one, told in transports_of(text) if one == [found.ufrag, found.password]]
            assert any(set(found.fingerprints) <= told for told in own)


def test_feedback_that_is_never_given_is_not_kept():
    """A stranger's offer kept 48,000 words of its own, and 256 such offers at once."""
    junk = "".join(f"a=rtcp-fb:* junk {number}\r\na=rtcp-fb:106 nack\r\n" for number in range(150))
    found = read_offer(OFFERS["encoder"] + junk)
    assert isinstance(found, Offer), found
    for media in found.media:
        for codec in media.codecs:
            assert set(codec.feedback) <= set(FEEDBACK)
            assert len(codec.feedback) == len(set(codec.feedback))


BROKEN = {
    "a fingerprint in three words": (OFFERS["encoder"].replace("sha-256 ", "sha-256 AB "), "sdp_malformed"),
    "nothing": ("", "sdp_malformed"),
    "no media": ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "sdp_malformed"),
    "json": ('{"type": "offer"}', "sdp_malformed"),
    "too large": ("v=0\r\n" + "a=x\r\n" * 20_000, "too_large"),
    "too many lines": ("v=0\r\n" + "a=x\r\n" * 2_000, "sdp_malformed"),
    "too many m-lines": (OFFERS["encoder"] + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 9, "sdp_malformed"),
    "too many codecs": (OFFERS["encoder"] + "a=rtpmap:96 VP8/90000\r\n" * 161, "sdp_malformed"),
    "too much feedback": (OFFERS["encoder"] + "a=rtcp-fb:96 nack\r\n" * 401, "sdp_malformed"),
    "too much feedback for its codecs": (
        OFFERS["encoder"] + "a=rtpmap:96 VP8/90000\r\n" * 100 + "a=rtcp-fb:96 nack\r\n" * 210, "sdp_malformed"),
    "too many parameters": (OFFERS["encoder"] + "a=fmtp:111 minptime=10\r\n" * 161, "sdp_malformed"),
    "too many sources": (OFFERS["encoder"] + "a=ssrc:1 cname:x\r\n" * 129, "sdp_malformed"),
    "a source of 33 bits": (OFFERS["encoder"].replace("ssrc:2771938322", "ssrc:8589934591"), "sdp_malformed"),
    "a source below zero": (OFFERS["encoder"].replace("ssrc:2771938321", "ssrc:-1"), "sdp_malformed"),
    "a long m-line": (OFFERS["encoder"] + f"m=audio 9 UDP/TLS/RTP/SAVPF{' 0' * 500}\r\n", "sdp_malformed"),
    "too many lines that end in a carriage return": ("v=0\r" + "a=x\r" * 2_000, "sdp_malformed"),
    "too many codecs on lines that end in a form feed": (
        OFFERS["encoder"] + "a=rtpmap:96 VP8/90000\f" * 161, "sdp_malformed"),
    "too many candidates": (
        OFFERS["encoder"] + "a=candidate:1 1 udp 2130706431 192.0.2.9 1234 typ host\r\n" * 65,
        "sdp_malformed",
    ),
    "no password": (OFFERS["encoder"].replace("a=ice-pwd", "a=ice-pw"), "sdp_malformed"),
    "a short ufrag": (OFFERS["encoder"].replace("a=ice-ufrag:1Zgb", "a=ice-ufrag:1"), "sdp_malformed"),
    "no fingerprint": (OFFERS["encoder"].replace("a=fingerprint", "a=finger"), "sdp_malformed"),
    "an old fingerprint": (OFFERS["encoder"].replace("sha-256", "md5"), "sdp_malformed"),
    "no setup": (OFFERS["encoder"].replace("a=setup:actpass\r\n", ""), "sdp_malformed"),
    "twice the same mid": (OFFERS["encoder"].replace("a=mid:1", "a=mid:0"), "sdp_malformed"),
    "no codec of ours": (OFFERS["encoder"].replace("H264", "H265").replace("opus", "speex"), "sdp_unserved"),
    "h264 in single packets": (
        OFFERS["encoder"].replace("packetization-mode=1", "packetization-mode=0").replace("opus", "speex"),
        "sdp_unserved",
    ),
    "two videos": (
        OFFERS["encoder"].replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 111")
        .replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 VP8/90000"),
        "sdp_unserved",
    ),
    "not bundled": (OFFERS["encoder"].replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), "sdp_unserved"),
    "rtcp apart": (OFFERS["encoder"].replace("a=rtcp-mux\r\n", ""), "sdp_unserved"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_offer_is_refused_for_what_it_is(text: str, code: str):
    found = read_offer(text)
    assert isinstance(found, Refusal), found
    assert found.code == code


def both_answers(text: str) -> None:
    """Reads and answers; any outcome is fine but an exception, and what is answered parses."""
    found = read_offer(text)
    if isinstance(found, Refusal):
        return
    for answer in (answer_publisher(found, LOCAL), answer_viewer(found, LOCAL, SOURCES)):
        if not isinstance(answer, Refusal):
            SessionDescription.parse(answer.sdp)


LINES = sorted({line for text in OFFERS.values() for line in text.split("\r\n")})


@given(st.text(max_size=400))
def test_text_is_never_an_exception(text: str):
    both_answers(text)
    both_answers("v=0\r\n" + text)


@settings(max_examples=120)
@given(st.lists(st.sampled_from(LINES), max_size=60))
def test_a_heap_of_sdp_lines_is_never_an_exception(lines: list[str]):
    both_answers("v=0\r\n" + "\r\n".join(lines) + "\r\n")


@settings(max_examples=120)
@given(st.sampled_from(sorted(OFFERS)), st.data())
def test_an_offer_with_lines_lost_doubled_or_mangled_is_never_an_exception(name: str, data: st.DataObject):
    lines = OFFERS[name].split("\r\n")
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "cut", "swap"])):
            case "drop":
                del lines[place]
            case "double":
                lines.insert(place, lines[place])
            case "cut":
                lines[place] = lines[place][: data.draw(st.integers(0, max(0, len(lines[place]) - 1)))]
            case "swap":
                lines[place] = data.draw(st.text(max_size=30)) + lines[place][2:]
        lines = lines or ["v=0"]
    both_answers("\r\n".join(lines))


FRAGMENT = (
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n"
    "a=candidate:3471623853 1 udp 2122194687 8f3c.local 61765 typ host generation 0\r\n"
    "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n"
    "a=end-of-candidates\r\n"
)


def test_a_fragment_is_read_and_what_cannot_be_reached_is_passed_over():
    assert read_fragment(FRAGMENT) == Fragment("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1", 1)


@pytest.mark.parametrize("text", ["", "garbage", "v=0\r\n", "a=mid:0\r\n", FRAGMENT.replace("typ host", "of host")])
def test_a_malformed_fragment_is_refused(text: str):
    assert read_fragment(text).code == "sdp_malformed"


@given(st.text(max_size=200), st.integers(0, 400))
def test_a_mangled_fragment_is_never_an_exception(text: str, place: int):
    read_fragment(FRAGMENT[:place] + text + FRAGMENT[place:])


def test_redundant_sound_is_answered_before_the_codec_itself_which_has_browsers_send_it():
    for answer in (
        answer_publisher(offer("browser_publisher"), LOCAL),
        answer_viewer(offer("browser_viewer"), LOCAL, SOURCES),
    ):
        assert answer.audio[0].red == 63
        (line,) = [one for one in answer.sdp.splitlines() if one.startswith("m=audio")]
        assert line.split()[3:] == ["63", "111"]
        assert "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n" in answer.sdp
    assert all(codec.red is None for codec in answer_publisher(offer("encoder"), LOCAL).audio)


@pytest.mark.parametrize("name", PUBLISHERS)
def test_no_header_extension_is_taken_so_that_a_phone_turns_its_pictures_itself(name: str):
    """Where a client may say in an extension how its picture stands, it leaves the turning to the viewers."""
    assert "a=extmap" not in answer_publisher(offer(name), LOCAL).sdp
