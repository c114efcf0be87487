"""The network: `fetch` alone opens a connection, here to a server of the test's own; what it brought is fitted."""

import ast
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import insiren
from insiren.data.fetch import PUBLISHED

# Modules of Python and of what is installed that can reach the network.
REACHING = {"aiohttp", "ftplib", "http", "httpx", "pooch", "requests", "smtplib", "socket", "ssl", "urllib", "urllib3"}
PARSING = {"urllib.parse"}  # takes text apart
# What every Python process of a test does first: it tells of connections and of names looked up, and refuses them.
GUARD = """
import sys

def guard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        with open({log!r}, "a") as stream:
            stream.write(f"{{sys.argv}} {{event}} {{arguments}}\\n")
        raise OSError("a connection was opened")

sys.addaudithook(guard)
"""
COMMANDS = """
import sys
from insiren.cli import main
for words in {commands!r}:
    sys.argv = ["insiren", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""


LISTENING = ("dashboard/guard.py", "dashboard/serve.py")


def test_only_fetch_and_the_page_know_of_anything_that_reaches_the_network():
    folder = Path(insiren.__file__).parent
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if any(name and name not in PARSING and name.split(".")[0] in REACHING for name in names):
                found.add(file.relative_to(folder).as_posix())
    assert found == {"data/fetch.py", *LISTENING}


def test_the_page_listens_and_asks_nobody():
    folder = Path(insiren.__file__).parent
    for name in LISTENING:
        used = {
            node.attr
            for node in ast.walk(ast.parse((folder / name).read_text("utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert not used & {"connect", "connect_ex", "create_connection", "sendto", "urlopen", "request"}


@pytest.fixture
def guarded(tmp_path):
    """Runs commands in a process whose every connection, and those of its children, is refused and told of."""
    (tmp_path / "guard").mkdir()
    log = tmp_path / "connections.txt"
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD.format(log=str(log)))
    paths = [str(tmp_path / "guard"), str(Path(insiren.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(script):
        said = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        return said, log.read_text() if log.exists() else ""

    return run


def test_the_guard_tells_of_a_connection(guarded):
    said, told = guarded("import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)")
    assert said.returncode and "a connection was opened" in said.stderr and "socket.getaddrinfo" in told


def test_looking_at_models_and_data_opens_no_connection(guarded, measurement, tmp_path):
    commands = [
        ["models", "la2nio4"],
        ["fetch"],
        ["simulate", "la2nio4", "--set", "q_fwhm=0", "--path", "0.7,0.3,0 0.6,0.4,0", "--omega", "40:60:10",
         "--out", "s.h5", "--plot", "s.png"],
        ["inspect", str(measurement), "s.h5", "--plot", "look.svg"],
    ]  # fmt: skip
    said, told = guarded(COMMANDS.format(commands=commands))
    assert said.returncode == 0, said.stderr
    assert told == "" and (tmp_path / "look.svg").exists()


@pytest.mark.slow
def test_training_fitting_and_reporting_open_no_connection(guarded, measurement, tmp_path):
    options = ["--fix", "q_fwhm=0", "--starts", "1"]
    commands = [
        ["fit", "la2nio4", str(measurement), *options, "--out", "out"],
        ["landscape", "la2nio4", str(measurement), "--x", "J", "--y", "Jp", "--fix", "q_fwhm=0", "--out", "map"],
        ["train", "square-neel", "--steps", "1", "--width", "8", "--out", "s.insiren"],
    ]
    said, told = guarded(COMMANDS.format(commands=commands))
    assert said.returncode == 0, said.stderr
    assert told == "" and (tmp_path / "out" / "report.html").exists()


class Home(http.server.SimpleHTTPRequestHandler):
    """Serves the published files under the names that they have at home."""

    def translate_path(self, path):
        there = {theirs: ours for ours, (theirs, _) in PUBLISHED["la2nio4"].files.items()}
        return str(Path(self.directory) / there.get(path.strip("/"), "nothing"))

    def log_message(self, *_):
        pass


@pytest.fixture
def home(shared, monkeypatch, tmp_path):
    """The published measurement at a server of the test's own, and an empty cache."""
    handler = functools.partial(Home, directory=str(shared / "data" / "la2nio4"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setitem(PUBLISHED, "la2nio4", PUBLISHED["la2nio4"]._replace(base=base))  # type: ignore[arg-type]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_the_published_measurement_is_fetched_and_fitted_by_name(home, insiren, monkeypatch, tmp_path):
    said = insiren("fetch", "la2nio4", "--json", "-")
    assert said.code == 0, said.err
    folder = Path(json.loads(said.out)["folder"])
    assert folder.is_relative_to(tmp_path / "cache") and len(list(folder.iterdir())) == 10

    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    said = insiren("fit", "la2nio4", "la2nio4", "--fix", "q_fwhm=0", "--starts", "2", "--out", "out", "--json", "-")
    assert said.code == 0, said.err
    content = json.loads(said.out)
    assert content["n_data"] > 40_000 and (tmp_path / "out" / "report.html").exists()
    # Published: 29.00(8) and 1.67(5) meV, by another objective and with a width in Q.
    assert content["parameters"]["J"]["value"] == pytest.approx(29, abs=1.5)
    assert content["parameters"]["Jp"]["value"] == pytest.approx(1.67, abs=1.0)
