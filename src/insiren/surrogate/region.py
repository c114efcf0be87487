"""A part of reciprocal space to be learnt: tubes around a path, slabs around a plane, volumes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from insiren.errors import SurrogateError
from insiren.model.crystal import route
from insiren.model.spec import Model

AROUND = 0.02  # r.l.u.: how far from a path or plane by default
_EDGE = 1e-6  # r.l.u.: rounding
_MANY = 4096  # wavevectors looked at together, which bounds the memory

Vector = tuple[float, float, float]
Piece = tuple[Vector, tuple[Vector, ...]]


@dataclasses.dataclass(frozen=True)
class Region:
    """All wavevectors within a distance of some pieces, and their images under the symmetry of the spectrum.

    Attributes:
        pieces: origin and up to three edges each, r.l.u.: a segment, a parallelogram or a parallelepiped.
        around: distance up to which wavevectors belong to a piece, r.l.u. along every axis.
    """

    pieces: tuple[Piece, ...]
    around: float = AROUND

    @classmethod
    def path(cls, model: Model, text: str | Sequence[str], around: float = AROUND) -> Region:
        """A tube around a path, or around several.

        Args:
            model: whose named points and routes the path may use.
            text: a named route, or points separated by spaces, as "P M 1,0,0"; or several of these.
            around: radius in r.l.u.
        """
        segments = []
        for one in [text] if isinstance(text, str) else text:
            hkl, marks = route(model, one)
            corners = [hkl[at] for at, _ in marks]
            segments += [(_vector(a), (_vector(b - a),)) for a, b in itertools.pairwise(corners)]
        return cls(tuple(segments), _positive(around))

    @classmethod
    def plane(
        cls,
        u: Sequence[float],
        v: Sequence[float],
        origin: Sequence[float] = (0, 0, 0),
        around: float = AROUND,
    ) -> Region:
        """A slab around the wavevectors origin + s u + t v with s and t between −1 and 1, all in r.l.u.

        Raises:
            SurrogateError: u and v span no plane.
        """
        a, b, o = (np.array(x, float) for x in (u, v, origin))
        if np.linalg.matrix_rank(np.array([a, b])) < 2:
            raise SurrogateError(f"{_said(a)} and {_said(b)} r.l.u. lie in one line; give two directions of the plane.")
        return cls(((_vector(o - a - b), (_vector(2 * a), _vector(2 * b))),), _positive(around))

    @classmethod
    def box(cls, low: Sequence[float], high: Sequence[float]) -> Region:
        """A volume between two corners, r.l.u."""
        sides = np.diag(np.array(high, float) - np.array(low, float))
        return cls(((_vector(np.array(low, float)), tuple(_vector(s) for s in sides if s.any())),), 0.0)

    def along(self, axes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Origin (a,) and edges (k, a) of each piece on the axes on which the spectrum depends."""
        at = list(axes)
        found = []
        for origin, edges in self.pieces:
            sides = np.array(edges, float).reshape(-1, 3)[:, at]
            found.append((np.array(origin, float)[at], sides[np.any(sides != 0, axis=1)]))
        return found

    def draw(self, key: PRNGKeyArray, many: int, axes: tuple[int, ...]) -> Float[Array, "n a"]:
        """Random wavevectors of it on those axes, evenly over its pieces and around them; traceable."""
        pieces, most = self.along(axes), 3
        sizes = np.array([np.sqrt(abs(np.linalg.det(S @ S.T))) if len(S) else 0.0 for _, S in pieces])
        sizes = sizes if sizes.sum() > 0 else np.ones(len(pieces))  # edges that see the same point, or lie in one line
        origins = jnp.asarray(np.array([o for o, _ in pieces]))
        edges = jnp.asarray(np.array([np.vstack([S, np.zeros((most - len(S), len(axes)))]) for _, S in pieces]))
        which, shares, towards, length = jax.random.split(key, 4)
        pick = jax.random.choice(which, len(pieces), (many,), p=jnp.asarray(sizes / sizes.sum()))
        t = jax.random.uniform(shares, (many, most), float)
        out = jax.random.normal(towards, (many, len(axes)), float)
        out = out / jnp.linalg.norm(out, axis=1, keepdims=True)
        radius = self.around * jax.random.uniform(length, (many, 1), float) ** (1 / len(axes))
        return origins[pick] + jnp.einsum("nk,nka->na", t, edges[pick]) + radius * out

    def holds(
        self, Q: Float[np.ndarray, "q a"], axes: tuple[int, ...], period: np.ndarray, operations: np.ndarray
    ) -> Bool[np.ndarray, " q"]:
        """Whether an image of each wavevector lies in it.

        Args:
            Q: wavevectors on those axes, r.l.u.
            axes: which of h, k, l they are.
            period: of the spectrum along each, r.l.u.; 0 where it has none.
            operations: matrices (n, a, a) that leave the spectrum unchanged.
        """
        parts = [self._near(Q[n : n + _MANY], axes, period, operations) for n in range(0, len(Q), _MANY)]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def _near(self, Q: np.ndarray, axes: tuple[int, ...], period: np.ndarray, operations: np.ndarray) -> np.ndarray:
        pieces = self.along(axes)
        corners = np.concatenate([o + _corners(S) for o, S in pieces])
        reach = self.around + _EDGE
        low, high = corners.min(0) - reach, corners.max(0) + reach
        turned = np.einsum("nab,qb->nqa", operations, Q)
        step = np.where(period > 0, period, 1.0)
        first = np.where(period > 0, turned - step * np.floor((turned - low) / step), turned)
        counts = [int((b - a) // s) + 1 if p > 0 else 1 for a, b, s, p in zip(low, high, step, period, strict=True)]
        found = np.zeros(len(Q), bool)
        for shift in itertools.product(*map(range, counts)):
            images = first + np.array(shift) * step
            for origin, edges in pieces:
                found |= np.any(_distance(images - origin, edges) <= reach, axis=0)
        return found


def _corners(edges: np.ndarray) -> np.ndarray:
    """Corners of a piece from its origin, shape (2^k, a)."""
    return np.array(list(itertools.product((0, 1), repeat=len(edges)))).reshape(-1, len(edges)) @ edges


def _distance(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Distance of points (…, a) to a piece whose edges begin at 0; to its point of clipped coordinates."""
    t = np.clip(x @ np.linalg.pinv(edges), 0, 1) if len(edges) else np.zeros((*x.shape[:-1], 0))
    return np.linalg.norm(x - t @ edges, axis=-1)


def _vector(x: np.ndarray) -> Vector:
    h, k, l = (float(v) for v in x)
    return h, k, l


def _said(x: np.ndarray) -> str:
    return ",".join(f"{v:g}" for v in x)


def _positive(around: float) -> float:
    if not 0 < around < np.inf:
        raise SurrogateError(f"A distance of {around:g} r.l.u. around a path or plane holds no wavevectors to learn.")
    return float(around)
