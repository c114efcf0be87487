"""The addresses of the page."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import importlib.resources
import importlib.util
import threading
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from insiren.dashboard.folder import PARTS, packed, read_part, snapshot_number
from insiren.dashboard.guard import Guard
from insiren.dashboard.watch import READERS, Watch, told

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"
_KEPT = 48  # compressed files kept in memory: the newest snapshots, which all readers ask for at once
_SMALL = 1000  # bytes, below which compression gains nothing


class Compressed:
    """Compressed content, made once for all who ask."""

    def __init__(self) -> None:
        self.kept: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()
        self.lock = threading.Lock()

    def __call__(self, name: str, read: Callable[[], bytes | None]) -> tuple[bytes, bytes] | None:
        """Content as it is and as gzip; None where there is none."""
        with self.lock:
            if name not in self.kept:
                content = read()
                if content is None:
                    return None
                self.kept[name] = content, gzip.compress(content, 6) if len(content) > _SMALL else b""
                if len(self.kept) > _KEPT:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(name)
            return self.kept[name]


def static_files() -> dict[str, tuple[bytes, bytes, str]]:
    """The files of the page by name: content, the same compressed, and kind. No path of a request is ever opened."""
    place = importlib.resources.files("insiren.dashboard").joinpath("static")
    found = {item.name: item.read_bytes() for item in place.iterdir() if item.is_file()}
    found["plotly.min.js"] = _plotly().read_bytes()
    return {
        name: (content, gzip.compress(content, 6), kind)
        for name, content in found.items()
        if (kind := _KINDS.get(Path(name).suffix))
    }


def _plotly() -> Path:
    """Where plotly.js is; its Python half is not needed, so it is not imported."""
    spec = importlib.util.find_spec("plotly")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise ModuleNotFoundError("plotly is not installed; it draws the page: pip install plotly")
    return Path(folders[0]) / "package_data" / "plotly.min.js"


def _answer(request: Request, both: tuple[bytes, bytes], kind: str, caching: str, **headers: str) -> Response:
    content, small = both
    tag = f'"{zlib.crc32(content):08x}{len(content):x}"'
    headers = {"Cache-Control": caching, "ETag": tag, "Vary": "Accept-Encoding", **headers}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if small and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(small, headers={**headers, "Content-Encoding": "gzip"}, media_type=kind)
    return Response(content, headers=headers, media_type=kind)


class Page:
    """The answers, by address."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.files, self.kept = watch, static_files(), Compressed()

    def home(self, request: Request) -> Response:
        return self._static(request, "page.html")

    def static(self, request: Request) -> Response:
        return self._static(request, request.path_params["name"])

    def _static(self, request: Request, name: str) -> Response:
        if name not in self.files:
            return PlainTextResponse("There is no such file.", 404)
        content, small, kind = self.files[name]
        return _answer(request, (content, small), kind, _ASK_AGAIN)

    async def run(self, request: Request) -> Response:
        return Response(self.watch.run, media_type="application/json")

    async def history(self, request: Request) -> Response:
        since = _since(request)
        later = [told(one) for n, one in sorted(self.watch.entries.items()) if n > since]
        return JSONResponse({"epoch": self.watch.epoch, "newest": self.watch.newest, "snapshots": later})

    async def log(self, request: Request) -> Response:
        since = _since(request)
        lines = [told(line) for line in self.watch.lines if line.number > since]
        return JSONResponse({"epoch": self.watch.epoch, "lines": lines})

    def part(self, request: Request) -> Response:
        number, part = snapshot_number(request.path_params["number"]), f"{request.path_params['part']}.json"
        entry = None if number is None else self.watch.entries.get(number)
        if entry is None or part not in PARTS:
            return PlainTextResponse("There is no such snapshot.", 404)
        name = f"{entry.number}/{entry.key}/{part}"
        found = self.kept(name, lambda: read_part(self.watch.out, entry.number, part))
        if found is None:
            return PlainTextResponse(f"Snapshot {entry.number} has no {part}.", 404)
        return _answer(request, found, "application/json", self._caching(request, entry.key))

    def download(self, request: Request) -> Response:
        number = snapshot_number(request.path_params["number"])
        entry = None if number is None else self.watch.entries.get(number)
        content = None if entry is None else packed(self.watch.out, entry.number)
        if entry is None or content is None:
            return PlainTextResponse("There is no such snapshot.", 404)
        named = f'attachment; filename="insiren-snapshot-{entry.number:06d}.zip"'
        caching = self._caching(request, entry.key)
        return _answer(request, (content, b""), "application/zip", caching, **{"Content-Disposition": named})

    def _caching(self, request: Request, key: str) -> str:
        """For ever where the address holds the key of the content, so that another run is never mistaken for this."""
        return _FOR_EVER if request.query_params.get("key") == key else _ASK_AGAIN

    async def events(self, request: Request) -> Response:
        if len(self.watch.readers) >= READERS:
            return PlainTextResponse(f"{READERS} readers are connected, which is the most there can be.", 503)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(self.watch.events(last), headers=headers, media_type="text/event-stream")


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0


def application(watch: Watch, names: frozenset[str], token: str | None = None) -> Guard:
    """The page over the snapshots of a folder.

    Args:
        watch: of the folder that `insiren live` writes; it may still be empty.
        names: host names that a request may be addressed to.
        token: that every request has to know; None to ask for none.
    """
    page = Page(watch)

    @contextlib.asynccontextmanager
    async def watching(_: Starlette) -> AsyncIterator[None]:
        watch.take(await asyncio.to_thread(watch.look))
        task = asyncio.create_task(watch.run_for_ever())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    routes = [
        Route("/", page.home),
        Route("/static/{name}", page.static),
        Route("/api/run", page.run),
        Route("/api/history", page.history),
        Route("/api/log", page.log),
        Route("/api/snapshots/{number}.zip", page.download),
        Route("/api/snapshots/{number}/{part}.json", page.part),
        Route("/events", page.events),
    ]
    return Guard(Starlette(routes=routes, lifespan=watching), names, token)
