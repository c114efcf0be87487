"""Published measurements come from their home, here a server of the test's own, and are what was published."""

import contextlib
import hashlib
import http.server
import socket
import threading
from functools import partial

import pytest

from insiren.data.fetch import PUBLISHED, Published, fetch, fetched, folder_of
from insiren.data.files import read
from insiren.errors import DataError

CONTENT = {"one.csv": b"h,k,l,E,I,sigma\n0,0,0,1,2,3\n", "two.csv": b"h,k,l,E,I,sigma\n0,0,1,1,2,3\n"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and keeps a list of what was asked for."""

    asked: list[str]

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def home(tmp_path):
    """A server of a folder, and the registry that describes it; one file has another name there."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "one.csv").write_bytes(CONTENT["one.csv"])
    (folder / "zwei.csv").write_bytes(CONTENT["two.csv"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    digest = {file: hashlib.sha256(content).hexdigest() for file, content in CONTENT.items()}
    files = {"one.csv": ("one.csv", digest["one.csv"]), "two.csv": ("zwei.csv", digest["two.csv"])}
    base = f"http://127.0.0.1:{server.server_port}/"
    server.registry = {"toy": Published("a toy", "this test", "none", base, files)}
    server.folder = folder
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_measurement_is_fetched_once_and_read(home, tmp_path):
    shares = []
    assert fetched("toy", registry=home.registry, cache=tmp_path) is None
    folder = fetch("toy", registry=home.registry, cache=tmp_path, progress=shares.append)
    assert shares == [0.5, 1.0] and sorted(home.asked) == ["/one.csv", "/zwei.csv"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == CONTENT
    assert [data.name for data in read(folder)] == ["one", "two"]
    assert fetch("toy", registry=home.registry, cache=tmp_path) == folder and len(home.asked) == 2
    assert fetched("toy", registry=home.registry, cache=tmp_path) == folder


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(home, tmp_path):
    folder = fetch("toy", registry=home.registry, cache=tmp_path)
    (folder / "one.csv").write_bytes(b"damaged")
    assert fetched("toy", registry=home.registry, cache=tmp_path) is None
    fetch("toy", registry=home.registry, cache=tmp_path)
    assert (folder / "one.csv").read_bytes() == CONTENT["one.csv"] and home.asked.count("/one.csv") == 2


def test_another_file_than_the_published_one_is_refused_and_not_kept(home, tmp_path):
    (home.folder / "one.csv").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"one\.csv of toy is not the published file"):
        fetch("toy", registry=home.registry, cache=tmp_path)
    assert not list(folder_of("toy", tmp_path).iterdir())


def test_a_home_that_does_not_answer_is_named(home, tmp_path):
    (home.folder / "zwei.csv").unlink()
    with pytest.raises(DataError, match=r"two\.csv of toy could not be fetched from http://127\.0\.0\.1.*404"):
        fetch("toy", registry=home.registry, cache=tmp_path)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    away = {"toy": home.registry["toy"]._replace(base=f"http://127.0.0.1:{port}/")}
    with pytest.raises(DataError, match="Is there a network"):
        fetch("toy", registry=away, cache=tmp_path / "other")


def test_a_name_that_nobody_published_is_refused(tmp_path):
    with pytest.raises(DataError, match="no published measurement 'la2nio5'; there are la2nio4"):
        fetch("la2nio5", cache=tmp_path)
    assert fetched("la2nio5", cache=tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_published_hashes_are_those_of_the_files_that_the_numbers_were_checked_with(la2nio4):
    files = PUBLISHED["la2nio4"].files
    assert set(files) == {file.name for file in la2nio4.glob("*.csv")}
    for file, (_, digest) in files.items():
        assert hashlib.sha256((la2nio4 / file).read_bytes()).hexdigest() == digest
    assert fetched("la2nio4", cache=la2nio4.parent) == la2nio4


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of("la2nio4").name == "la2nio4" and "insiren" in folder_of("la2nio4").parts
