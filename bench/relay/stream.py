"""What is published: eight seconds of a moving 720p30 picture in VP8 at 1.6 Mbit/s and of sound in Opus, encoded once.

Owns the encoding and its copy in bench/out. Every server gets the same packets at the same times.
"""

import math
import pickle
from fractions import Fraction
from typing import NamedTuple

import av
from aiortc.codecs.vpx import Vp8Encoder
from PIL import Image

from app.streams.synthetic_picture import tone
from bench.relay.native import OUT

WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 30, 8
BITS_PER_S = 1_600_000
GROUP_FRAMES = 120
VIDEO_TYPE, AUDIO_TYPE = 96, 111
STORED = OUT / "stream-1.pickle"


class Moment(NamedTuple):
    """What leaves in one burst: a frame, or 20 ms of sound. `timestamp` is in the clock of its kind."""

    at_s: float
    payload_type: int
    timestamp: int
    payloads: list[bytes]


def moments() -> list[Moment]:
    """One turn of the stream, in order of time."""
    if not STORED.exists():
        STORED.write_bytes(pickle.dumps(sorted([*_video(), *_audio()])))
    return list(pickle.loads(STORED.read_bytes()))


def _video() -> list[Moment]:
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.bit_rate, encoder.gop_size = BITS_PER_S, GROUP_FRAMES
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.options = {
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "minrate": str(BITS_PER_S),
        "maxrate": str(BITS_PER_S),
        "bufsize": str(BITS_PER_S),
        "keyint_min": str(GROUP_FRAMES),
    }
    noise = Image.effect_noise((WIDTH // 2, HEIGHT // 4), 60).resize((WIDTH * 4, HEIGHT * 2), Image.Resampling.BICUBIC)
    packets = []
    for number in range(FPS * SECONDS):
        turn = 2 * math.pi * number / (FPS * SECONDS)
        left, top = round((1 + math.cos(turn)) * WIDTH), round((1 + math.sin(turn)) * HEIGHT / 3)
        frame = av.VideoFrame.from_image(noise.crop((left, top, left + WIDTH, top + HEIGHT)).convert("RGB"))
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [
        Moment(number / FPS, VIDEO_TYPE, number * 90_000 // FPS, Vp8Encoder._packetize(bytes(packet), number))
        for number, packet in enumerate(packets)
    ]


def _audio() -> list[Moment]:
    sounds = tone()
    return [
        Moment(number / 50, AUDIO_TYPE, number * 960, [sounds[number % len(sounds)]]) for number in range(50 * SECONDS)
    ]
