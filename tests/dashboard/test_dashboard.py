"""What the page answers: to whom, from where, and what it makes of a folder that is being written."""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from types import SimpleNamespace

import pytest
from live_folder import until

from insiren.dashboard.folder import entry_of, numbers
from insiren.dashboard.watch import Watch

TOKEN = "a-token-nobody-guesses"


@pytest.fixture
def page(run, served):
    """The page over three snapshots."""
    for _ in range(3):
        run.snapshot()
    return served(run.out)


def loaded(answer):
    assert answer[0] == 200, answer
    return json.loads(answer[2])


# What is there ------------------------------------------------------------------------------


def test_the_history_holds_the_numbers_of_the_fits(page, content):
    history = loaded(page.get("/api/history"))["snapshots"]
    assert [one["number"] for one in history] == [1, 2, 3]
    for one, files in zip(history, content, strict=True):
        fit = json.loads(files["fit.json"])
        assert one["neutrons"] == fit["live"]["neutrons"]
        assert list(one["parameters"]) == fit["free"]
        for name, entry in one["parameters"].items():
            assert entry["value"] == fit["parameters"][name]["value"]
            assert entry["error"] == fit["parameters"][name]["error"]
    assert [one["stop"]["advised"] for one in history] == [False, False, True]


def test_the_history_can_be_asked_for_from_a_number_on(page):
    assert [one["number"] for one in loaded(page.get("/api/history?since=2"))["snapshots"]] == [3]
    assert len(loaded(page.get("/api/history?since=-1"))["snapshots"]) == 3


def test_parts_of_a_snapshot_are_the_files_that_were_written(page, run):
    for part in ("fit", "maps", "landscape"):
        written = (run.out / "snapshots" / "000002" / f"{part}.json").read_bytes()
        assert page.get(f"/api/snapshots/2/{part}.json")[2] == written


def test_a_snapshot_downloads_as_a_zip_of_its_files(page, run):
    status, headers, content = page.get("/api/snapshots/3.zip")
    assert status == 200 and "insiren-snapshot-000003.zip" in headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 3
        for name in archive.namelist():
            assert archive.read(name) == (run.out / "snapshots" / "000003" / name.rpartition("/")[2]).read_bytes()


def test_snapshots_may_be_kept_for_ever_and_live_data_never(page):
    key = loaded(page.get("/api/history"))["snapshots"][0]["key"]
    assert "immutable" in page.get(f"/api/snapshots/1/maps.json?key={key}")[1]["Cache-Control"]
    assert "immutable" not in page.get("/api/snapshots/1/maps.json?key=other")[1]["Cache-Control"]
    for path in ("/api/run", "/api/history", "/api/log"):
        assert page.get(path)[1]["Cache-Control"] == "no-store"


def test_answers_are_compressed_for_who_can_read_that_and_not_sent_twice(page):
    plain, small = page.get("/static/plotly.min.js"), page.get("/static/plotly.min.js", Accept_Encoding="gzip")
    assert small[1]["Content-Encoding"] == "gzip" and len(small[2]) < len(plain[2]) / 3
    again = page.get("/static/plotly.min.js", If_None_Match=plain[1]["ETag"])
    assert again[0] == 304 and again[2] == b""


def test_every_file_that_the_page_names_is_there(page):
    text = page.get("/")[2].decode()
    names = set(re.findall(r'(?:href|src)="(static/[^"]+)"', text))
    for script in ("main", "maps"):
        names |= {
            f"static/{n}" for n in re.findall(r'from "\./(\w+\.js)"', page.get(f"/static/{script}.js")[2].decode())
        }
    assert len(names) > 5
    for name in names:
        assert page.get(f"/{name}")[0] == 200


# Who may read -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_the_page_is_read_only(page, method):
    for path in ("/", "/api/run", "/api/snapshots/1/fit.json"):
        assert page.get(path, method)[0] == 405
    for path in ("/", "/api/run", "/events", "/api/snapshots/1.zip"):
        status, _, content = page.get(path, "HEAD")
        assert status == 200 and content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/__init__.py",
        "/api/snapshots/../live.json",
        "/api/snapshots/1/../../../live.json",
        "/api/snapshots/..%2f..%2flive/fit.json",
        "/api/snapshots/1/..%2f..%2f..%2flive.json",
        "/api/snapshots/1/..%5c..%5clive.json",
        "/api/snapshots/1/secret.json",
        "/api/snapshots/1%00/fit.json",
        "/api/snapshots/0/fit.json",
        "/api/snapshots/-1/fit.json",
        "/api/snapshots/+1/fit.json",
        "/api/snapshots/1.0/fit.json",
        "/api/snapshots/1e0/fit.json",
        "/api/snapshots/%D9%A1/fit.json",  # an Arabic 1
        "/api/snapshots/99999999999999999999/fit.json",
        "/api/snapshots/4/fit.json",
        "/api/snapshots/1/../../../../../../etc/passwd.zip",
        "//127.0.0.1/etc/passwd",
    ],
)
def test_nothing_but_the_snapshots_can_be_reached(page, run, path):
    (run.out / "snapshots" / "000001" / "secret.json").write_text('"secret"')
    status, _, content = page.get(path)
    assert status == 404 and b"secret" not in content and b"root:" not in content and b"started" not in content


def test_links_that_lead_outside_are_not_followed(run, served, tmp_path):
    outside = tmp_path / "outside"
    run.snapshot()
    shutil.copytree(run.out / "snapshots" / "000001", outside)
    (run.out / "snapshots" / "000001" / "maps.json").unlink()
    (run.out / "snapshots" / "000001" / "maps.json").symlink_to(outside / "maps.json")
    (run.out / "snapshots" / "000002").symlink_to(outside)
    (run.out / "log.jsonl").unlink()
    (run.out / "log.jsonl").symlink_to("/etc/passwd")
    (run.out / "live.json").unlink()
    (run.out / "live.json").symlink_to(outside / "fit.json")
    page = served(run.out)
    assert [one["number"] for one in loaded(page.get("/api/history"))["snapshots"]] == [1]
    assert page.get("/api/snapshots/1/maps.json")[0] == 404
    assert page.get("/api/snapshots/2/fit.json")[0] == 404
    assert loaded(page.get("/api/log"))["lines"] == [] and loaded(page.get("/api/run")) == {}
    with zipfile.ZipFile(io.BytesIO(page.get("/api/snapshots/1.zip")[2])) as archive:
        assert not any("maps" in name for name in archive.namelist())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "", "[::1", "a:b:c"])
def test_a_foreign_host_name_is_refused(page, host):
    for path in ("/", "/api/history", "/events"):
        assert page.get(path, host=host.format(port=page.port) or " ")[0] in (400, 421)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80", "10.1.2.3:8765", socket.gethostname()]
)
def test_names_and_numbers_of_this_machine_are_accepted(page, host):
    assert page.get("/api/history", host=host)[0] == 200


def test_every_request_needs_the_token(run, served):
    run.snapshot()
    page = served(run.out, TOKEN)
    paths = ("/", "/static/main.js", "/api/run", "/api/history", "/api/log", "/api/snapshots/1/fit.json", "/events")
    for path in paths:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "insiren_0=wrong"}, {"Authorization": TOKEN}):
            status, _, said = page.get(path, **headers)
            assert status == 401 and TOKEN.encode() not in said
        assert page.get(f"{path}?token=wrong")[0] == 401
    for path in paths[:-1]:
        assert page.get(path, Authorization=f"Bearer {TOKEN}")[0] == 200
    assert page.get(f"/api/history?token={TOKEN}")[0] == 200


def test_the_token_of_the_address_becomes_a_cookie_that_scripts_cannot_read(run, served):
    page = served(run.out, TOKEN)
    status, headers, _ = page.get(f"/?token={TOKEN}&a=1")
    assert status == 303 and headers["Location"] == "./?a=1"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert page.get("/", Cookie=cookie.partition(";")[0])[0] == 200


def test_answers_tell_the_browser_to_load_nothing_from_elsewhere(page):
    for path in ("/", "/static/page.css", "/api/run", "/nowhere"):
        headers = page.get(path)[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers
    text = page.get("/")[2].decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|https?://", text)


def test_the_command_serves_a_folder_until_it_is_interrupted(run, tmp_path):
    run.snapshot()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "insiren", "page", str(run.out), "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as page:
        assert page.stderr is not None
        assert page.stderr.readline().startswith(f"http://127.0.0.1:{port}/")
        reader = Reader(SimpleNamespace(port=port), "nothing")
        reader.start()
        assert reader.opened.wait(20)
        page.send_signal(signal.SIGINT)
        assert page.wait(20) == 0
        assert page.stderr.read() == ""  # no word of streams that were still open
    reader.join(20)


# A folder that is being written -------------------------------------------------------------


def test_an_empty_folder_is_a_page_without_snapshots(tmp_path, served):
    page = served(tmp_path)
    assert loaded(page.get("/api/history"))["snapshots"] == []
    assert page.get("/")[0] == 200 and loaded(page.get("/api/run")) == {}


def test_half_written_snapshots_are_not_there(run):
    run.snapshot()
    place = run.out / "snapshots"
    for name in (".000002.part", "000003.tmp", "7", "0000000000001", "000000", "x00001"):
        shutil.copytree(place / "000001", place / name)
    (place / "000004").mkdir()
    (place / "000005").mkdir()
    (place / "000005" / "fit.json").write_bytes((place / "000001" / "fit.json").read_bytes()[:500])
    (place / "000006").write_text("a file")
    watch = Watch(run.out)
    watch.take(watch.look())
    assert list(watch.entries) == [1]
    shutil.copy(place / "000001" / "fit.json", place / "000005" / "fit.json")
    watch.take(watch.look())
    assert list(watch.entries) == [1, 5]


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"parameters": 3}', '{"parameters": {"J": 1}}', "[" * 100_000]
)
def test_files_that_are_no_fit_are_no_snapshot(run, text):
    run.snapshot()
    (run.out / "snapshots" / "000001" / "fit.json").write_text(text)
    assert numbers(run.out) == [1] and entry_of(run.out, 1) is None


# Events -------------------------------------------------------------------------------------


class Reader(threading.Thread):
    """Reads events until some kind arrives so often, or the server ends the stream."""

    def __init__(self, page, kind="snapshot", wanted=1, last=""):
        super().__init__(daemon=True)
        self.page, self.kind, self.wanted, self.last = page, kind, wanted, last
        self.events, self.opened, self.at = [], threading.Event(), None

    def run(self):
        with socket.create_connection(("127.0.0.1", self.page.port), timeout=30) as connection:
            last = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
            connection.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
            text = ""
            while len([e for e in self.events if e["event"] == self.kind]) < self.wanted:
                more = connection.recv(65_536).decode()
                if not more:
                    break
                text += more
                self.events = [_event(block) for block in text.split("\n\n") if "\ndata: " in block and "id: " in block]
                if "event: beat" in text:
                    self.opened.set()
            self.at = time.monotonic()


def _event(block):
    fields = dict(
        line.split(": ", 1) for line in block.replace("\r", "").splitlines() if re.match(r"(event|id|data): ", line)
    )
    return fields | {"data": json.loads(fields["data"])}


def test_fifty_readers_at_once_all_hear_of_a_snapshot(page, run):
    readers = [Reader(page) for _ in range(50)]
    for one in readers:
        one.start()
    for one in readers:
        assert one.opened.wait(20)
    until(lambda: len(page.watch.readers) == 50)
    start = time.monotonic()
    run.snapshot()
    for one in readers:
        one.join(20)
        assert [e["data"]["number"] for e in one.events if e["event"] == "snapshot"] == [4]
    assert max(one.at for one in readers) - start < 5.0
    until(lambda: not page.watch.readers)


def test_a_reader_that_comes_back_gets_what_it_missed_once(page, run):
    first = Reader(page, "beat")
    first.start()
    first.join(20)
    last = first.events[-1]["id"]
    run.snapshot()
    run.snapshot()
    until(lambda: page.watch.newest == 5 and page.watch.last_line == 5)
    second = Reader(page, "log", wanted=2, last=last)
    second.start()
    second.join(20)
    assert [e["data"]["number"] for e in second.events if e["event"] == "snapshot"] == [4, 5]
    assert [e["data"]["number"] for e in second.events if e["event"] == "log"] == [4, 5]
    third = Reader(page, "beat", last=second.events[-1]["id"])
    third.start()
    third.join(20)
    assert [e["event"] for e in third.events] == ["beat"]


@pytest.mark.parametrize("last", ["ffffffff-1-1", "nonsense", "-", "0-x-y"])
def test_a_reader_of_another_run_is_told_to_begin_anew(page, last):
    reader = Reader(page, "reset", last=last)
    reader.start()
    reader.join(20)
    assert reader.events[0]["event"] == "reset"


def test_another_run_in_the_same_folder_takes_the_place_of_the_first(page, run):
    reader = Reader(page, "reset")
    reader.start()
    assert reader.opened.wait(20)
    old = loaded(page.get("/api/history"))
    (run.out / "log.jsonl").unlink()  # before the snapshots, whose absence is what says that a run is another
    shutil.rmtree(run.out / "snapshots")
    reader.join(20)
    new = loaded(page.get("/api/history"))
    assert new["snapshots"] == [] and new["epoch"] != old["epoch"]
    assert loaded(page.get("/api/log"))["lines"] == []
