"""A snapshot folder that grows, and the page served over it."""

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import uvicorn

from insiren.dashboard.app import application
from insiren.dashboard.guard import own_names
from insiren.dashboard.watch import Watch


class Run:
    """Writes a snapshot folder as `insiren live` does: each one whole, by rename."""

    def __init__(self, out, content):
        self.out, self.content, self.number = Path(out), content, 0
        (self.out / "snapshots").mkdir(parents=True)
        self.rename(
            "live.json", json.dumps({"model": "chain", "forward": "exact", "directory": "data", "started": "now"})
        )

    def rename(self, name, text):
        partial = self.out / f".{name}.part"
        partial.write_text(text, "utf-8")
        os.replace(partial, self.out / name)

    def snapshot(self, minutes_ago=0.0, leave_out=()):
        """The next snapshot; after the last content, that one again."""
        self.number += 1
        files = self.content[min(self.number, len(self.content)) - 1]
        fitted = json.loads(files["fit.json"])
        time_of = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        fitted["live"] |= {"number": self.number, "time": time_of.isoformat(timespec="seconds")}
        partial = self.out / "snapshots" / f".{self.number:06d}.part"
        partial.mkdir()
        for name, text in {**files, "fit.json": json.dumps(fitted)}.items():
            if name not in leave_out:
                (partial / name).write_text(text, "utf-8")
        partial.rename(self.out / "snapshots" / f"{self.number:06d}")
        self.log(f"Snapshot {self.number}: {fitted['live']['neutrons']} neutrons in {self.number} files")

    def log(self, text, level="info"):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now, "level": level, "text": text}) + "\n")


class Served:
    """The page in a thread, at a port of its own."""

    def __init__(self, out, token=None, port=0):
        self.watch = Watch(out)
        config = uvicorn.Config(
            application(self.watch, own_names("127.0.0.1"), token),
            port=port,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.loop = self.server.servers[0].get_loop()
        self.url = f"http://127.0.0.1:{self.port}/"

    def get(self, path, method="GET", host=None, **headers):
        """Status, headers and content; the path goes out as it is written."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def close(self):
        """Ends the thread; again does nothing."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.watch.close)
            self.server.should_exit = True
            self.thread.join(10)


def until(true, seconds=20.0):
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
