"""The command page: past snapshots in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from insiren.cli.session import say


def page(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `insiren live` wrote or is writing.")],
    port: Annotated[int, typer.Option("--port", help="To listen at.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; others than this machine's own need --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="INSIREN_TOKEN", help="That every reader has to know; see --host."),
    ] = None,
) -> None:
    """The snapshots of a measurement, finished or running, as a page in the browser.

    Example: `insiren page result`, then open http://127.0.0.1:8765/
    """
    from insiren.dashboard.serve import serve

    if out.is_dir() and not (out / "snapshots").is_dir():
        say(f"{out} holds no snapshots yet; the page waits for the first.")
    serve(out, port, host, token, lambda address: say(f"{address}  (Ctrl-C ends it)"))
