"""Looks at a page's video: how many frames were decoded, and whether what is on the screen changes."""

from playwright.async_api import Page

_FRAMES = "video => video.getVideoPlaybackQuality().totalVideoFrames"
_GROWN = "([video, before, more]) => video.getVideoPlaybackQuality().totalVideoFrames >= before + more"

# Draws the frame small and keeps its luma; true once a later frame differs in at least `pixels` of 32 by 18 places.
_CHANGES = """
([video, pixels]) => new Promise((resolve) => {
  const canvas = new OffscreenCanvas(32, 18);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const look = () => {
    context.drawImage(video, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    return Array.from({ length: 32 * 18 }, (_, at) => (data[4 * at] * 2 + data[4 * at + 1] * 5 + data[4 * at + 2]) / 8);
  };
  const first = look();
  const onFrame = () => {
    const changed = look().filter((luma, at) => Math.abs(luma - first[at]) > 8).length;
    if (changed >= pixels) resolve(changed);
    else video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
})
"""

_COLOUR = """
(video) => {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(video, 0, 0, 1, 1);
  return Array.from(context.getImageData(0, 0, 1, 1).data.slice(0, 3));
}
"""


async def decoded_frames(page: Page) -> int:
    """How many frames the page's video has decoded so far."""
    return await page.locator("#video").evaluate(_FRAMES)


async def wait_for_frames(page: Page, more: int, timeout_ms: int = 30_000) -> int:
    """Returns the count once at least `more` frames were decoded from now on."""
    video = await page.locator("#video").element_handle()
    before = await video.evaluate(_FRAMES)
    await page.wait_for_function(_GROWN, arg=[video, before, more], timeout=timeout_ms)
    return await video.evaluate(_FRAMES)


async def wait_for_change(page: Page, pixels: int = 3) -> int:
    """Returns once the picture on the screen has changed in at least `pixels` of 576 places."""
    video = await page.locator("#video").element_handle()
    return await page.evaluate(_CHANGES, [video, pixels])


async def colour(page: Page) -> tuple[int, int, int]:
    """The picture's mean colour as red, green, blue."""
    red, green, blue = await page.locator("#video").evaluate(_COLOUR)
    return red, green, blue
