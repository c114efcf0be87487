"""Runs the page until it is stopped."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import uvicorn

from insiren.dashboard.app import application
from insiren.dashboard.guard import is_loopback, own_names
from insiren.dashboard.watch import Watch
from insiren.errors import InsirenError

_SHORTEST = 12  # characters of a token: guessing it takes longer than a beam time
_MOST = 65_535  # the last port


class DashboardError(InsirenError):
    """The page cannot be served as asked."""


def serve(
    out: Path,
    port: int,
    host: str = "127.0.0.1",
    token: str | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves the page over the snapshots of a folder; returns when it is interrupted.

    Args:
        out: the folder that `insiren live` writes; it may still be empty.
        port: to listen at.
        host: address to listen at. Others than this machine's own need a token.
        token: that every request has to know, in a cookie, as a bearer token or as ?token=….
        ready: told where to point a browser, once the port is had.

    Raises:
        DashboardError: the folder is not there, the port cannot be had, or other machines could read without a token.
    """
    _check(out, port, host, token)
    listener = _listener(host, port)
    watch = Watch(out)
    config = uvicorn.Config(
        application(watch, own_names(host), token),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,  # second
    )
    ready(_address(port, host, token))
    with listener, contextlib.suppress(KeyboardInterrupt):
        _Server(config, watch).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Sends the readers of events home when it is stopped; it would wait for them otherwise."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        super().__init__(config)
        self.watch = watch

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.watch.close()
        await super().shutdown(sockets)


def _address(port: int, host: str, token: str | None) -> str:
    """Where to point a browser."""
    everywhere = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}
    name = everywhere.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _check(out: Path, port: int, host: str, token: str | None) -> None:
    if not out.is_dir():
        raise DashboardError(f"{out} is not a folder, so there is nothing to show. Name the --out of `insiren live`.")
    if not 0 < port <= _MOST:
        raise DashboardError(f"Port {port} does not exist; choose one from 1024 to {_MOST}, such as 8765.")
    if token is None and not is_loopback(host):
        raise DashboardError(
            f"At {host} every machine of the network could read the measurement. Give a token that readers need, for "
            f"example --token {secrets.token_urlsafe(18)}, or leave --host out to serve this machine alone."
        )
    if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
        raise DashboardError(
            f"The token has {len(token)} characters; it takes {_SHORTEST} or more plain ones so that nobody guesses "
            f"it, for example --token {secrets.token_urlsafe(18)}."
        )


def _listener(host: str, port: int) -> socket.socket:
    """A socket at the port, taken before anything else so that a clash is one clear message."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family)
    except OSError as error:
        raise DashboardError(
            f"Port {port} at {host} cannot be had ({error.strerror or error}); choose another --port, or stop "
            "whoever listens there."
        ) from error
