"""Key frames are found in the payloads that real encoders make, and in nothing else."""

from collections.abc import Iterator
from fractions import Fraction

import av
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.streams.relay.h264_size import parameter_set_size
from app.streams.relay.pictures import begins_group, picture_size


def frames(count: int) -> Iterator[av.VideoFrame]:
    picture = Image.linear_gradient("L").resize((320, 240)).convert("RGB")
    for number in range(count):
        picture.paste((200, 30, 30), (number * 8, 20, number * 8 + 40, 60))
        frame = av.VideoFrame.from_image(picture).reformat(format="yuv420p")
        frame.pts, frame.time_base = number * 3_000, Fraction(1, 90_000)
        yield frame


@pytest.mark.parametrize(("codec", "encoder"), [("VP8", Vp8Encoder()), ("H264", H264Encoder())])
def test_the_first_and_a_forced_frame_begin_a_group(codec: str, encoder):
    found = []
    for number, frame in enumerate(frames(6)):
        payloads, _ = encoder.encode(frame, force_keyframe=number == 3)
        found.append([begins_group(codec, payload) for payload in payloads])
    assert [any(one) for one in found] == [True, False, False, True, False, False]
    assert found[0][0], "the group's first packet"


def test_sound_begins_no_group():
    assert not begins_group("opus", b"\x10\x00" + bytes(20))


@given(st.sampled_from(["VP8", "H264"]), st.binary(max_size=40))
def test_any_payload_is_looked_at_without_an_exception(codec: str, payload: bytes):
    begins_group(codec, payload)


def test_a_vp8_key_frame_tells_its_size_and_nothing_else_does():
    encoder = Vp8Encoder()
    told = [[picture_size("VP8", payload) for payload in encoder.encode(frame)[0]] for frame in frames(3)]
    assert told[0][0] == (320, 240)
    assert {size for payloads in told for size in payloads[1:]} | {told[1][0], told[2][0]} == {None}


def test_an_h264_group_tells_its_size_with_its_parameter_set():
    encoder = H264Encoder()
    told = [{picture_size("H264", payload) for payload in encoder.encode(frame)[0]} for frame in frames(2)]
    assert (320, 240) in told[0]
    assert told[1] == {None}


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("6742c01fd9005005bb0110000003001000000300a0f1832480", (1280, 720)),
        ("67640028acd940780227e5c044000003000400000300283c60c658", (1920, 1080)),  # cut off from 1088
        ("67f4000c919b282810f71f80880000030008000003005078a14cb0", (318, 242)),  # all of its colour
        ("6764001facd940b40a1b0110000003001000000300a0f1831960", (720, 1280)),
    ],
)
def test_parameter_sets_of_other_encoders_are_read(unit: str, size: tuple[int, int]):
    assert parameter_set_size(bytes.fromhex(unit)) == size


@given(st.binary(max_size=40), st.sampled_from(["VP8", "H264"]))
def test_no_payload_makes_the_size_raise(payload: bytes, codec: str):
    picture_size(codec, payload)
    parameter_set_size(payload)
