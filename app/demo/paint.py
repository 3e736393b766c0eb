"""A small box of paints over Pillow: graded shapes with soft shadows. Owns how things are painted, not what."""

import io
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIDE: Final = 640  # of a finished picture, in pixels; all coordinates below are in these
FINER: Final = 2  # painted so much larger, then scaled down: smooth edges
QUALITY: Final = 84

Color: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]
Outline: TypeAlias = Callable[[ImageDraw.ImageDraw], None]


def _fine(values: Sequence[float]) -> list[float]:
    return [value * FINER for value in values]


def ellipse(box: Box) -> Outline:
    """A filled ellipse."""
    return lambda draw: draw.ellipse(_fine(box), fill=255)


def rounded(box: Box, radius: float) -> Outline:
    """A filled box with round corners."""
    return lambda draw: draw.rounded_rectangle(_fine(box), radius * FINER, fill=255)


def polygon(*points: Point) -> Outline:
    """A filled polygon."""
    return lambda draw: draw.polygon([(x * FINER, y * FINER) for x, y in points], fill=255)


def ring(box: Box, width: float) -> Outline:
    """An ellipse's rim."""
    return lambda draw: draw.ellipse(_fine(box), outline=255, width=round(width * FINER))


def bow(box: Box, start: float, end: float, width: float) -> Outline:
    """A part of an ellipse's rim, in degrees clockwise from three o'clock."""
    return lambda draw: draw.arc(_fine(box), start, end, fill=255, width=round(width * FINER))


def line(points: Sequence[Point], width: float) -> Outline:
    """A line with round joints."""
    return lambda draw: draw.line(
        [(x * FINER, y * FINER) for x, y in points], fill=255, width=round(width * FINER), joint="curve"
    )


class Canvas:
    """One picture in the making: a lit backdrop, then shapes upon it."""

    def __init__(self, light: Color, dark: Color) -> None:
        side = SIDE * FINER
        glow = Image.radial_gradient("L").resize((side * 3 // 2, side * 3 // 2), Image.Resampling.BILINEAR)
        off = (side // 8, side // 4)
        self._picture = Image.composite(
            Image.new("RGB", (side, side), dark),
            Image.new("RGB", (side, side), light),
            glow.crop((off[0], off[1], off[0] + side, off[1] + side)),
        )
        self._rise = Image.linear_gradient("L").resize((side, side), Image.Resampling.BILINEAR)
        self._lie = self._rise.transpose(Image.Transpose.ROTATE_90)

    def _mask(self, outlines: Sequence[Outline]) -> Image.Image:
        mask = Image.new("L", self._picture.size, 0)
        draw = ImageDraw.Draw(mask)
        for outline in outlines:
            outline(draw)
        return mask

    def shape(self, first: Color, last: Color, *outlines: Outline, across: bool = False, opacity: float = 1) -> None:
        """Fills the outlines, graded from `first` at the top (left with `across`) of the canvas to `last`."""
        mask = self._mask(outlines)
        bounds = mask.getbbox()
        if bounds is None:
            return
        grade = (self._lie if across else self._rise).resize((bounds[2] - bounds[0], bounds[3] - bounds[1]))
        size = grade.size
        fill = Image.composite(Image.new("RGB", size, last), Image.new("RGB", size, first), grade)
        part = mask.crop(bounds)
        if opacity < 1:
            part = part.point([round(level * opacity) for level in range(256)])
        self._picture.paste(fill, bounds[:2], part)

    def inside(self, color: Color, within: Sequence[Outline], *outlines: Outline, opacity: float = 1) -> None:
        """Fills only what of the outlines lies inside `within`: a stripe on a mug, a fold in a scarf."""
        mask = ImageChops.multiply(self._mask(within), self._mask(outlines))
        if opacity < 1:
            mask = mask.point([round(level * opacity) for level in range(256)])
        self._picture.paste(Image.new("RGB", self._picture.size, color), (0, 0), mask)

    def shadow(self, box: Box, strength: float = 0.35) -> None:
        """The soft shadow of a thing that stands on the ground."""
        small = Image.new("L", (SIDE // 2, SIDE // 2), 0)
        ImageDraw.Draw(small).ellipse([value / 2 for value in box], fill=round(255 * strength))
        mask = small.filter(ImageFilter.GaussianBlur(9)).resize(self._picture.size, Image.Resampling.BILINEAR)
        self._picture.paste(Image.new("RGB", self._picture.size, (24, 20, 32)), (0, 0), mask)

    def finish(self) -> bytes:
        """The picture as WebP."""
        out = io.BytesIO()
        self._picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(out, "WEBP", quality=QUALITY, method=2)
        return out.getvalue()
