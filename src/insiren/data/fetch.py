"""Published measurements, fetched by name into the user's cache and checked by hash.

This is the only module that opens a network connection, and only `fetch` does so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pooch

from insiren.errors import DataError

SECONDS = 30.0  # that a server may take to answer


class Published(NamedTuple):
    """A measurement that somebody published.

    Attributes:
        summary: what it is, in one line.
        source: whose it is and where it is described.
        licence: under which it may be used.
        base: address of the folder that holds the files, ending in a slash.
        files: for each file as it is called here, its name at the address and its SHA-256.
    """

    summary: str
    source: str
    licence: str
    base: str
    files: Mapping[str, tuple[str, str]]


PUBLISHED: Mapping[str, Published] = {
    "la2nio4": Published(
        summary="La2NiO4, SEQUOIA, Ei = 190 meV: two paths of 217 wavevectors, 20 to 140 meV",
        source="Chitturi et al., Nat. Commun. 14, 5852 (2023); github.com/slaclab/neural-representation-sqw",
        licence="MIT, Copyright (c) 2022 SLAC Lab",
        # One commit, so that the files cannot change. Three of them are there under the name of a twin.
        base="https://raw.githubusercontent.com/slaclab/neural-representation-sqw/"
        "ccea381516df711668ceb758c90199ea6eb736c7/data_experimental/",
        files={
            "Elist_path2_woBG.csv": (
                "Elist.csv", "14afd9253a300c66ca3335f749a6aaddc03e9b712c66827d7113f7bf4887d5ab"),
            "Err_path2_woBG.csv": (
                "Err_path2_woBG.csv", "27af06ed31f7bf5c86731507e64fa71f9ef3a7845d3e4007bc8db14fb4b34a8f"),
            "Err_path3_woBG.csv": (
                "Err_path3_woBG.csv", "0bb64780e7607321bd41249170169044b3e5820e7de72f51874d405bb36f3350"),
            "Qlist_path2_woBG.csv": (
                "Qlist_path2.csv", "32a96f7bbedf04d9876c0b43542da6d6ffb09d115a48574e20d1684b213832d8"),
            "Qlist_path3_woBG.csv": (
                "Qlist_path3.csv", "bc986b4fdaee75b9461fb423368e2cca5a79ac438b51f07405f585e55fcb300e"),
            "Sqw_path2.csv": (
                "Sqw_path2.csv", "45601712c9403711589cf517d37ecd25f16c3abcfabf75be5d4647fcde3ed3ce"),
            "Sqw_path2_woBG.csv": (
                "Sqw_path2_woBG.csv", "76153c1a2c6c4574dbe3db86f74086b436d2114716e098631a96ee4df7f5ca60"),
            "Sqw_path3.csv": (
                "Sqw_path3.csv", "7f64e8f5114400d9df2dba0047ba26c13e76b94eb8b5157d5477c39bf2f1437e"),
            "Sqw_path3_woBG.csv": (
                "Sqw_path3_woBG.csv", "ef2223299b1217dc2b37b4d2dd65e62794a12611f040992c76c213d8428c2b5d"),
            "Sqw_path3_woBG_corr.csv": (
                "Sqw_path3_woBG_corr.csv", "6b90a788ceaff30b25627ae1d8f8cdd312ea0b26bf5738167281e01f418d46be"),
        },
    ),
}  # fmt: skip


def fetch(
    name: str,
    *,
    registry: Mapping[str, Published] = PUBLISHED,
    cache: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """The folder of a published measurement; what is not in the cache yet is downloaded.

    Args:
        name: of the measurement.
        registry: measurements by name.
        cache: folder that holds a folder for each; by default one in the user's cache.
        progress: is told the share of the files that are there.

    Raises:
        DataError: the name is unknown, a file cannot be had, or it is not the published one.
    """
    entry, folder = _known(name, registry), folder_of(name, cache)
    folder.mkdir(parents=True, exist_ok=True)
    store = pooch.create(
        path=folder,
        base_url=entry.base,
        registry={file: f"sha256:{digest}" for file, (_, digest) in entry.files.items()},
        urls={file: entry.base + there for file, (there, _) in entry.files.items()},
    )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # what it tells of every file is told by `progress`
    try:
        for n, file in enumerate(entry.files):
            _one(store, name, entry, file)
            if progress is not None:
                progress((n + 1) / len(entry.files))
    finally:
        logger.setLevel(level)
    return folder


def _one(store: pooch.Pooch, name: str, entry: Published, file: str) -> None:
    try:
        store.fetch(file, downloader=pooch.HTTPDownloader(timeout=SECONDS))  # type: ignore[arg-type]  # its own
    except ValueError as error:  # pooch's word for another hash; what came is deleted
        raise DataError(
            f"{file} of {name} is not the published file: its hash differs. Something on the way changed it; try "
            f"again, or take it from {entry.base} by hand."
        ) from error
    except OSError as error:  # as are the errors of requests
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{file} of {name} could not be fetched from {entry.base} ({reason}). Is there a network? Once fetched, a "
            "measurement stays in the cache."
        ) from error


def fetched(
    name: str, *, registry: Mapping[str, Published] = PUBLISHED, cache: str | Path | None = None
) -> Path | None:
    """The folder of a measurement if all its files are in the cache and are the published ones, else None.

    Opens no connection.
    """
    if name not in registry:
        return None
    folder = folder_of(name, cache)
    for file, (_, digest) in registry[name].files.items():
        if not (folder / file).is_file() or hashlib.sha256((folder / file).read_bytes()).hexdigest() != digest:
            return None
    return folder


def folder_of(name: str, cache: str | Path | None = None) -> Path:
    """Where a measurement is kept."""
    return Path(cache if cache is not None else pooch.os_cache("insiren") / "data") / name


def _known(name: str, registry: Mapping[str, Published]) -> Published:
    if name not in registry:
        raise DataError(f"There is no published measurement {name!r}; there are {', '.join(registry)}.")
    return registry[name]
