"""What the synthetic host shows and plays: a small studio drawn by code with a running clock, and a quiet chord.

Owns the drawing and the tone; it knows nothing of streams. The background is drawn once, each frame adds what moves.
"""

import array
import math
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import av
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH: Final = 640
HEIGHT: Final = 360
_TURN_S: Final = 6.0
_LEFT: Final = 40  # words stand in the middle of the left half: players cover the corners and the lower edge

TONE_RATE: Final = 48_000
PACKET_S: Final = 0.02
_CHORD_HZ: Final = (220, 330, 440)  # whole numbers: one second of it loops without a seam
_LOUDNESS: Final = 0.012


class Studio:
    """Draws frames. One of them costs about a millisecond."""

    def __init__(self) -> None:
        self._background = _background()
        self._clock_font = ImageFont.load_default(size=54)
        self._small_font = ImageFont.load_default(size=17)
        draw = ImageDraw.Draw(self._background)
        draw.text((_LEFT, 132), "HAWKER", font=ImageFont.load_default(size=34), fill=(255, 244, 230))
        draw.text((_LEFT, 174), "demo studio, on air by WebRTC", font=self._small_font, fill=(236, 200, 190))

    def frame(self, now_ms: int) -> av.VideoFrame:
        """The studio at a Unix time. Its pts is the caller's."""
        picture = self._background.copy()
        draw = ImageDraw.Draw(picture)
        _draw_turntable(draw, now_ms / 1000)
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        text = f"{now:%H:%M:%S}.{now_ms % 1000:03d}"
        draw.text((_LEFT, 200), text, font=self._clock_font, fill=(255, 250, 240))
        draw.text((_LEFT + 2, 262), "UTC", font=self._small_font, fill=(236, 200, 190))
        swing = 0.5 + 0.5 * math.sin(now_ms / 1000 * math.pi)
        draw.rounded_rectangle((40, 348, 40 + 560 * swing + 8, 353), radius=2, fill=(255, 179, 102))
        frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
        return frame.reformat(format="yuv420p")


def _background() -> Image.Image:
    """A wall that darkens downwards, two soft lights on it, and a table."""
    wall = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    picture = Image.merge("RGB", [wall.point(_between(*ends)) for ends in ((122, 38), (44, 20), (88, 52))])
    light = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(light)
    draw.ellipse((330, -40, 640, 270), fill=150)
    draw.ellipse((-120, -160, 200, 160), fill=90)
    light = light.filter(ImageFilter.GaussianBlur(60))
    picture.paste(Image.new("RGB", picture.size, (255, 190, 150)), mask=light)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((360, 232, 600, 290), fill=(52, 28, 46))
    draw.ellipse((366, 228, 594, 280), fill=(96, 54, 74))
    return picture


def _between(top: int, bottom: int) -> list[int]:
    """A lookup table from a gradient's 0..255 to the colours of its two ends."""
    return [top + (bottom - top) * value // 255 for value in range(256)]


def _draw_turntable(draw: ImageDraw.ImageDraw, now_s: float) -> None:
    """A vase on the table whose stripes go round: something that moves in every frame."""
    draw.ellipse((440, 120, 520, 150), fill=(70, 120, 130))
    draw.polygon([(452, 138), (508, 138), (545, 215), (515, 258), (445, 258), (415, 215)], fill=(86, 150, 158))
    angle = now_s / _TURN_S * 2 * math.pi
    for stripe in range(6):
        turned = angle + stripe * math.pi / 3
        if math.cos(turned) > 0:  # the others are on the far side
            x = 480 + 58 * math.sin(turned)
            width = 3 + 6 * math.cos(turned)
            draw.line(
                [(480 + (x - 480) * 0.4, 140), (x, 215), (480 + (x - 480) * 0.55, 256)], (240, 226, 190), int(width)
            )


def tone() -> list[bytes]:
    """One second of a quiet chord as Opus packets of 20 ms, to be played round and round.

    Encoded once: two seconds, of which the second is kept, when the encoder has settled.
    """
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = TONE_RATE
    encoder.layout = "stereo"
    encoder.format = "s16"
    encoder.bit_rate = 48_000
    encoder.time_base = Fraction(1, TONE_RATE)
    samples = int(TONE_RATE * PACKET_S)
    packets: list[bytes] = []
    for start in range(0, 2 * TONE_RATE, samples):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=samples)
        frame.planes[0].update(_samples(start, samples))
        frame.sample_rate, frame.pts, frame.time_base = TONE_RATE, start, encoder.time_base
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    kept = round(1 / PACKET_S)
    return packets[kept : 2 * kept]


def _samples(start: int, count: int) -> bytes:
    stereo = array.array("h")
    for place in range(start, start + count):
        wave = sum(math.sin(2 * math.pi * hertz * place / TONE_RATE) for hertz in _CHORD_HZ)
        value = round(32_767 * _LOUDNESS * wave)
        stereo.extend((value, value))
    return stereo.tobytes()
