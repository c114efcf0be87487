"""What can be said of the page without a snapshot."""

import asyncio
import json
import socket

import pytest

from insiren.dashboard.folder import LogFile, snapshot_number
from insiren.dashboard.guard import is_loopback
from insiren.dashboard.serve import DashboardError, serve
from insiren.dashboard.watch import QUEUE, Watch


def test_serving_other_machines_takes_a_token_and_says_so(tmp_path):
    with pytest.raises(DashboardError, match="Give a token"):
        serve(tmp_path, 8765, "0.0.0.0")
    with pytest.raises(DashboardError, match="12 or more"):
        serve(tmp_path, 8765, "0.0.0.0", "short")
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("192.168.1.1") and not is_loopback("example.org")


def test_a_port_that_is_taken_and_a_folder_that_is_missing_are_one_clear_message(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DashboardError, match="choose another --port"):
        serve(tmp_path, taken.getsockname()[1])
    with pytest.raises(DashboardError, match="not a folder"):
        serve(tmp_path / "missing", 8765)
    with pytest.raises(DashboardError, match="Port 99999 does not exist"):
        serve(tmp_path, 99_999)


def test_snapshot_numbers_are_plain_digits():
    assert snapshot_number("12") == 12
    assert [snapshot_number(t) for t in ("0", "-1", "", " 1", "1 ", "٣", "0x1", "1_0", "9" * 10)] == [None] * 9


def test_a_torn_line_of_the_log_waits_for_its_rest(tmp_path):
    file, log = tmp_path / "log.jsonl", LogFile(tmp_path)
    assert log.appended() == []
    whole = json.dumps({"time": "now", "level": "info", "text": "é first"}, ensure_ascii=False).encode() + b"\n"
    for end in range(1, len(whole)):
        file.write_bytes(whole[:end])
        assert log.appended() == []
    file.write_bytes(whole + b"not JSON\n[1]\n" + whole[:9])
    assert [(line.number, line.event["text"]) for line in log.appended()] == [(1, "é first")]
    with file.open("ab") as more:
        more.write(whole[9:])
    assert [line.number for line in log.appended()] == [4]


def test_a_log_that_is_deleted_or_begun_anew_is_another_run(tmp_path):
    file, watch = tmp_path / "log.jsonl", Watch(tmp_path)
    line = json.dumps({"time": "now", "level": "info", "text": "fitted"}).encode() + b"\n"
    for begun in (file.unlink, lambda: file.write_bytes(line)):
        file.write_bytes(3 * line)
        watch.take(watch.look())
        assert [one.number for one in watch.lines] == [1, 2, 3] and not watch.look().anew
        before = watch.epoch
        begun()
        assert [event.split(b"\n")[0] for event in watch.take(watch.look())] == [b"event: reset"]
        assert watch.epoch != before and [one.number for one in watch.lines] == [1] * file.exists()
        assert not watch.look().anew


def test_a_reader_that_does_not_read_is_cut_off(tmp_path):
    async def lag():
        watch = Watch(tmp_path)
        stream = watch.events("")
        await anext(stream)
        for _ in range(QUEUE + 1):
            watch.tell(b"event")
        assert not watch.readers
        return [event async for event in stream]

    assert len(asyncio.run(lag())) == QUEUE - 1
