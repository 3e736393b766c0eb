"""The static pages: which address shows which page, and the files below /static.

Owns routing, revalidation and the list of file types that may leave. The pages themselves are app/pages, plain files
that are read again when they change; nothing is ever served from outside that folder.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.problems import problem_response
from app.refusal import Refusal

PAGES: Final = Path(__file__).parent.parent / "pages"
PAGE_OF: Final = {
    "/": "home",
    "/watch/{show}": "watch",
    "/studio": "studio",
    "/studio/{show}": "studio",
    "/moderate/{show}": "moderate",
    "/shop/{shop}": "shop",
    "/orders": "orders",
    "/orders/{order}": "orders",
    "/sign-in": "sign-in",
}
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
NAME_BYTES_MAX: Final = 200  # file systems take 255 at most, and call a longer name a failure
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_NOT_FOUND: Final = Refusal("not_found", "There is no such page.")


class _File(msgspec.Struct, frozen=True):
    stamp: tuple[int, int]
    body: bytes
    etag: str


class Pages:
    """The folder of pages with a copy of its files in memory, as many as there are."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[Path, _File] = {}

    def _read(self, name: str) -> _File | None:
        """The file `name` below the root, None when there is none to serve. Blocks for a stat, seldom for a read."""
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root) or path.suffix not in _TYPES:
            return None
        try:
            stat = path.stat()
            if not path.is_file() or stat.st_size > FILE_BYTES_MAX:
                return None
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                body = path.read_bytes()
                known = _File(stamp, body, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
                self._files[path] = known
        except (FileNotFoundError, NotADirectoryError):
            return None
        return known

    async def serve(self, request: Request, name: str) -> Response:
        """The answer for one file: 304 when the browser already has it."""
        if "\x00" in name or len(name.encode()) > NAME_BYTES_MAX:
            return problem_response(_NOT_FOUND)
        file = await asyncio.to_thread(self._read, name)
        if file is None:
            return problem_response(_NOT_FOUND)
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=_TYPES[Path(name).suffix])


_ours = Pages(PAGES)


async def lost_page(request: Request) -> Response | None:
    """The page for an address without one, for somebody who looks at it; None for a program, which gets a problem."""
    if request.method not in {"GET", "HEAD"} or "text/html" not in request.headers.get("accept", ""):
        return None
    page = await _ours.serve(request, "lost/index.html")
    return Response(page.body, 404, media_type=_TYPES[".html"])


def page_routes(root: Path = PAGES) -> list[Route]:
    """The routes of all pages and of /static; the file of page `x` is x/index.html."""
    pages = Pages(root)

    def page(path: str, name: str) -> Route:
        async def show(request: Request) -> Response:
            return await pages.serve(request, f"{name}/index.html")

        return Route(path, show, methods=["GET"], name=f"{name} page")

    async def static(request: Request) -> Response:
        return await pages.serve(request, request.path_params["path"])

    return [
        *(page(path, name) for path, name in PAGE_OF.items()),
        Route("/static/{path:path}", static, methods=["GET"], name="static"),
    ]
