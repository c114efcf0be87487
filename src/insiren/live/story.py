"""A snapshot's content: the fit, what surrounds it, and maps for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from insiren.fit.result import Fit
from insiren.live.history import Answer, forecast, judged, z_of
from insiren.live.maps import maps
from insiren.live.picture import picture
from insiren.live.snapshots import now
from insiren.live.stop import ODDS, Advice, Hypothesis, Quality, advise


class Story(NamedTuple):
    """What a snapshot tells besides its fit.

    Attributes:
        number: of the snapshot.
        neutrons: in all data sets.
        files: contents that count.
        contents: their digests.
        searched: whether the box was searched for this answer.
        events: what happened since the last snapshot, in words.
        new_files: names of the files taken since.
        history: answers, this one last.
        before: the answer at about half the neutrons, or None.
        share: of the posterior in the leading mode, or None if unknown.
        quality: of the description, or None.
        command: what the user typed.
        landscape: the content of landscape.json, or None.
        seconds: that the update took, by stage.
    """

    number: int
    neutrons: float
    files: int
    contents: tuple[str, ...]
    searched: bool
    events: tuple[str, ...]
    new_files: tuple[str, ...]
    history: tuple[Answer, ...]
    before: Answer | None
    share: float | None
    quality: Quality | None
    command: str
    landscape: dict[str, Any] | None = None
    seconds: Mapping[str, float] | None = None


def snapshot_of(
    fit: Fit, story: Story, targets: Mapping[str, float], confidence: float,
    decide: Mapping[str, float] | None = None, odds: float = ODDS,
) -> dict[str, Any]:  # fmt: skip
    """A snapshot's files by name, bytes or what JSON holds; for targets and what to decide see `Wishes`."""
    units = {p.name: p.unit for p in fit.parameters}
    bounds = {p.name: (p.min, p.max) for p in fit.parameters}
    asked = {name: Hypothesis(at, *bounds.get(name, (at, at)), odds) for name, at in (decide or {}).items()}
    advice = advise(story.history, targets, units, confidence, story.share, story.quality, asked)
    live = _live(fit, story, targets, confidence, advice)
    seconds = dict(story.seconds or {})
    files: dict[str, Any] = {
        "fit.json": {**fit.to_dict(), "command": story.command, "seconds": seconds, "live": live},
        "maps.json": maps(fit),
    }
    if (image := picture(files["maps.json"])) is not None:
        files["maps.png"] = image
    if story.landscape is not None:
        files["landscape.json"] = story.landscape
    return files


def _live(
    fit: Fit, story: Story, targets: Mapping[str, float], confidence: float, advice: Advice
) -> dict[str, Any]:  # fmt: skip
    now_ = story.history[-1]
    return {
        "number": story.number,
        "time": now(),
        "neutrons": story.neutrons,
        "files": story.files,
        "contents": story.contents,
        "stop": advice.to_dict(),
        "targets": {name: _target(fit, story, name, target, confidence) for name, target in targets.items()},
        "confidence": confidence,
        "mode_share": story.share,
        "tension": None if now_.tension is None else {"sigma": now_.tension, "text": _tension(now_, story.before)},
        "quality": None if story.quality is None else story.quality._asdict(),
        "searched": story.searched,
        "events": story.events,
        "new_files": story.new_files,
        "history": [one.to_dict() for one in story.history],
    }


def _target(fit: Fit, story: Story, name: str, target: float, confidence: float) -> dict[str, Any]:
    z, error = z_of(confidence), fit.total_errors.get(name)
    expected = forecast(story.history, name, target, z)
    return {"target": target, "error": None if error is None else z * error, **expected._asdict()}


def _tension(now_: Answer, before: Answer | None) -> str:
    if before is None:
        return f"moved by {now_.tension:.1f} σ, of what the growth of the data allows"
    known, there = judged(before, now_)
    part = "" if known == there else f"; of {there} directions only {known} can be judged, the rest became no surer"
    return f"moved by {now_.tension:.1f} σ since {before.neutrons:,.0f} neutrons, of what their growth allows{part}"
