"""Where compiled functions are kept between processes, and that this can be switched off."""

import os
import subprocess
import sys

from insiren import cache

USE = """
import jax
import insiren.forward
print(jax.config.jax_compilation_cache_dir or "none")
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
"""


def kept(tmp_path, **environment):
    """What a fresh process says of its cache."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "INSIREN_CACHE"))}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env=bare | {"XDG_CACHE_HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_fresh_process_keeps_what_it_compiles_in_a_folder_for_this_processor(tmp_path):
    folder = tmp_path / "insiren" / "jax" / cache.processor()
    assert kept(tmp_path) == str(folder)
    assert any(name.name.endswith("-cache") for name in folder.iterdir())


def test_the_cache_can_be_switched_off_and_moved_and_leaves_jax_its_own(tmp_path):
    assert kept(tmp_path, INSIREN_CACHE="off") == "none"
    assert kept(tmp_path, INSIREN_CACHE=str(tmp_path / "here")) == str(tmp_path / "here" / cache.processor())
    assert kept(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
    assert kept(tmp_path, XDG_CACHE_HOME="/proc/no-such-folder") == "none"


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 250)
    for n in range(4):
        (tmp_path / str(n)).write_bytes(b"x" * 100)
        os.utime(tmp_path / str(n), (n, n))
    cache._prune(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["2", "3"]
