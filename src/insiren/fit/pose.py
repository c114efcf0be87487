"""From data sets and wishes to the problem that a fit solves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import scipp as sc

from insiren.data.spectrum import Measured
from insiren.fit.choice import choose, merged, within_limits
from insiren.fit.problem import Problem
from insiren.fit.treatment import Treatment, measured_sets, plain, treated
from insiren.fit.weights import Noise
from insiren.forward import Forward


class Wanted(NamedTuple):
    """The wishes on parameters, as `fit` takes them."""

    free: Sequence[str] | None = None
    fixed: Mapping[str, float] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    ties: Mapping[str, str] | None = None
    each: Sequence[str] | None = None


class Posed(NamedTuple):
    """Data sets as a problem, not yet prepared near any parameters.

    Attributes:
        problem: on all pixels.
        maps: the data sets.
        noises: how their variances come about.
        remarks: for the user.
        wish: by which they were treated; nothing of it is "auto".
    """

    problem: Problem
    maps: list[Measured]
    noises: tuple[Noise, ...]
    remarks: tuple[str, ...]
    wish: Treatment


def pose(sources: Sequence[Forward], sets: Sequence[sc.DataArray], wish: Treatment, wanted: Wanted) -> Posed:
    """The problem that data sets make, each with its Forward; what is "auto" becomes what is quick to search with.

    Raises:
        FitError: the wishes contradict each other or the data, or nothing is free.
        DataError: a data set holds nothing usable.
    """
    kind, maps = measured_sets(sets, wish)
    wish = plain(wish, maps)
    choice = within_limits(choose(merged(sources), *wanted, [m.name for m in maps]), sources)
    ready = [one.given(choice.part(n, one).constant) for n, one in enumerate(sources)]
    kind, maps, targets, noises, remarks = treated(sets, kind, maps, ready, choice, wish)
    forwards = () if all(one is sources[0] for one in sources) and not choice.each else tuple(ready)
    prepared = forwards or (ready[0],) * len(maps)
    problem = Problem(ready[0], prepared, tuple(m.points for m in maps), targets, choice, kind, forwards)
    return Posed(problem, maps, noises, remarks, wish)
