"""Photos: what a host uploads is decoded, turned upright, scaled and encoded again, so only pixels survive.

Owns the limits on bytes and pixels, the threads in which Pillow works, and the photos' rows. Metadata (where it was
taken, with what) never gets through, nor do bytes that are a picture and something else at once.
"""

import asyncio
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import asyncpg
import msgspec

from app import clock
from app.refusal import Refusal

UPLOAD_BYTES_MAX: Final = 5 * 1024 * 1024
UPLOAD_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
PIXELS_MAX: Final = 24_000_000
SIDE_MAX: Final = 1280
QUALITY: Final = 82
AT_ONCE_MAX: Final = 1
WAITING_MAX: Final = 8
PHOTOS_PER_SHOP_MAX: Final = 2000

# Room for one more photo of the shop, and the photo.
_INSERT: Final = """
INSERT INTO photos (id, shop_id, content_type, body)
SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM photos WHERE shop_id = $2) < $5
RETURNING id
"""
_SELECT: Final = "SELECT content_type, body FROM photos WHERE id = $1"


class Photo(msgspec.Struct, frozen=True):
    """An encoded picture."""

    content_type: str
    body: bytes


_NO_PICTURE: Final = Refusal("photo_invalid", "That is not a JPEG, PNG or WebP picture that can be read.")


def develop(raw: bytes) -> Photo | Refusal:
    """The picture in `raw`, encoded anew as WebP, at most SIDE_MAX on its longer side. Blocks; takes a thread."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    try:
        with Image.open(io.BytesIO(raw), formats=("JPEG", "PNG", "WEBP")) as picture:
            width, height = picture.size  # from the header: nothing has been unpacked yet
            if width * height > PIXELS_MAX or width < 1 or height < 1:
                return Refusal("photo_invalid", f"A photo has {PIXELS_MAX // 1_000_000} megapixels at most.")
            picture.draft("RGB", (SIDE_MAX, SIDE_MAX))
            upright = ImageOps.exif_transpose(picture)
            flat = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            flat.thumbnail((SIDE_MAX, SIDE_MAX))
            out = io.BytesIO()
            flat.save(out, "WEBP", quality=QUALITY, method=4, exif=b"", icc_profile=b"", xmp=b"")
    except (
        # What Pillow's decoders are known to raise on hostile bytes.
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        ArithmeticError,
        MemoryError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ):
        return _NO_PICTURE
    return Photo("image/webp", out.getvalue())


class Darkroom:
    """Develops uploads off the event loop: AT_ONCE_MAX at a time, WAITING_MAX waiting, the rest refused."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="darkroom")
        self._waiting = 0

    async def develop(self, raw: bytes) -> Photo | Refusal:
        """The upload as it will be kept."""
        if self._waiting >= WAITING_MAX:
            return Refusal("busy", "Many photos are being uploaded; try again.", retry_after_ms=2000)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, develop, raw)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads. Work that has not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def keep_photo(pg: asyncpg.Pool, shop: str, photo: Photo) -> str | Refusal:
    """The id under which the shop's photo is kept. It never changes: another picture is another id."""
    kept = await pg.fetchval(_INSERT, clock.new_id(), shop, photo.content_type, photo.body, PHOTOS_PER_SHOP_MAX)
    return Refusal("too_many", "The shop has as many photos as it can have.") if kept is None else str(kept)


async def find_photo(pg: asyncpg.Pool, photo: str) -> Photo | None:
    """A photo by its id."""
    row = await pg.fetchrow(_SELECT, photo)
    return None if row is None else Photo(row["content_type"], row["body"])
