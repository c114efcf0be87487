"""Compiled functions are kept on disk, so that the first fit of a process need not compile what an earlier one did.

INSIREN_CACHE=off switches that off, and INSIREN_CACHE=FOLDER keeps them elsewhere. Where JAX_COMPILATION_CACHE_DIR
is set, JAX does as it says. By default they are in ~/.cache/insiren/jax (or below XDG_CACHE_HOME), in a folder for each
release of jaxlib and each kind of processor: what was compiled for one processor may not run on another.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

MOST = 2**30  # bytes on disk, beyond which those used longest ago go


def keep_compiled(config: Any) -> None:
    """Sets JAX's configuration so that compiled functions are kept, unless the environment says otherwise.

    Args:
        config: `jax.config`.
    """
    wish = os.environ.get("INSIREN_CACHE", "")
    if wish.lower() in ("off", "0", "no") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = (Path(wish) if wish else default_folder()) / processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
    except OSError:  # a home that cannot be written to: every process compiles for itself
        return
    config.update("jax_compilation_cache_dir", str(folder))
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # a hundred short ones take seconds
    config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def default_folder() -> Path:
    """Where compiled functions are kept unless told."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "insiren" / "jax"


def processor() -> str:
    """A name for this kind of processor with this release of jaxlib."""
    about = platform.machine() + platform.processor()
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        lines = listed.read_text(errors="replace").splitlines()
        about += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return f"{importlib.metadata.version('jaxlib')}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"


def _prune(folder: Path) -> None:
    """Removes files until no more than `MOST` bytes are left, those used longest ago first."""
    kept = sorted(((entry.stat(), entry.path) for entry in os.scandir(folder)), key=lambda one: one[0].st_atime)
    total = sum(about.st_size for about, _ in kept)
    for about, path in kept:
        if total <= MOST:
            break
        Path(path).unlink(missing_ok=True)
        total -= about.st_size
