"""The exact Forward: linear spin wave theory seen through the model's instrument."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import POINT, Bins, Forward, Parameter, Parameters, Points
from insiren.instrument import powder
from insiren.instrument.grid import RANGE, SharedGrid, shared_grid
from insiren.instrument.integral import Integral, integral
from insiren.instrument.kinematics import kf_over_ki
from insiren.instrument.lineshape import BOLTZMANN, omega_bose
from insiren.instrument.pairing import continued, together
from insiren.instrument.profile import Profile, line_sum, profile, thermal_energy, view_sum
from insiren.instrument.resolution import (
    Moved,
    energy_resolution,
    legendre,
    own_neighbours,
    patch_moments,
    q_quadrature,
    with_patch,
)
from insiren.model.hamiltonian import CONVENTION
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.formfactor import coefficients
from insiren.simulate.intensity import magnons
from insiren.simulate.lswt import after, closed_form
from insiren.simulate.remarks import all_remarks
from insiren.simulate.stability import require_stable

GRID_NODES = 8  # in one FWHM; doubling them moves J of La2NiO4 by less than 0.001 meV
OWN_NODES = 16  # along each axis, where wavevectors share no grid
_ZERO_MODE = 1e-4  # of the largest energy: the shift that lifts a zero mode leaves it near 1e-6
_DRAFT_NODES = 6  # even, so that no node sits on a Goldstone point
BIN_NODES = 3  # along each edge of a bin in Q, where nodes share no grid
_DRAFT_BIN_NODES = 2
_CHUNK = 2048  # wavevectors at once, which bounds the memory
_CHUNK_PIXELS = 2**16  # pixels summed at once: 0.5 MiB, so that the derivatives of four parameters stay in the caches
_CHUNK_LINES = 2_000_000  # pixels times lines gathered at once, which bounds the memory

Lines = tuple[Float[Array, "q v l"], Float[Array, "q v l"], Float[Array, "q v l"]]
Seen = Callable[[Array, Array, Any], Array]  # of wavevectors, energies and lines


class Exact(Forward):
    """S(Q, ω) of a model by linear spin wave theory, with resolution; differentiable.

    Attributes:
        model: the magnet and its instrument.
        refine: factor on the nodes of the Q broadening, of bins and of powder averages.
        own_nodes: nodes along each axis for wavevectors without a shared grid.
        bin_nodes: nodes along each edge of a bin in Q there.
        orientations: in a powder average.
        octant: whether an eighth of the orientations of a powder stands for all; None to find out.
    """

    model: Model = eqx.field(static=True)
    refine: int = eqx.field(static=True, default=1)
    own_nodes: int = eqx.field(static=True, default=OWN_NODES)
    bin_nodes: int = eqx.field(static=True, default=BIN_NODES)
    orientations: int = eqx.field(static=True, default=powder.FIRST)
    octant: bool | None = eqx.field(static=True, default=None)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.model.all_parameters

    @property
    def draft(self) -> Exact:
        """The same with fewer nodes."""
        own = min(self.own_nodes, _DRAFT_NODES)
        return dataclasses.replace(self, refine=1, own_nodes=own, bin_nodes=_DRAFT_BIN_NODES, orientations=powder.DRAFT)

    def given(self, fixed: Mapping[str, float]) -> Exact:
        """The same for fixed parameters: without Q broadening there is one node."""
        return dataclasses.replace(self, own_nodes=1) if fixed.get("q_fwhm") == 0 else self

    def at(self, points: Points, params: Parameters) -> Forward:
        """The same with a quadrature planned for these points and parameters near these.

        Neighbouring wavevectors share a grid of nodes where they can; a powder gets as many
        orientations as its average needs to converge.
        """
        energy_resolution(self.model)  # a model without one has bands, but no spectrum
        if points.Q_abs is not None:
            count = powder.enough(self, params, points, self._octant)
            return dataclasses.replace(self, orientations=count * self.refine**2)
        if self.model.scattering.powder:
            raise ModelError(
                f"{self.model.name} is a powder (scattering.powder), but the points are wavevectors of a crystal. Give "
                "|Q| (--like with data of a powder), or take powder out of [scattering]."
            )
        if self.own_nodes == 1:
            return self
        q_fwhm = float(np.asarray(params["q_fwhm"]))
        if q_fwhm == 0:
            return dataclasses.replace(self, own_nodes=1)
        over = integral(self.model)
        foot = points if over is None else eqx.tree_at(lambda p: p.hkl, points, over.foot(points.hkl))
        grid = shared_grid(foot, self.model.instrument.q_axes, q_fwhm, GRID_NODES * self.refine)
        if grid is None:
            return self
        mix = None
        if over is not None:
            omega = jnp.broadcast_to(grid.omega, (grid.nodes.shape[0], grid.omega.shape[0]))
            mix = jax.jit(lambda *rows: in_chunks(functools.partial(over.mix, self.model), _CHUNK, *rows))(
                grid.nodes, omega
            )
        return _OnGrid(self, grid, mix, q_fwhm)

    @property
    def parallel(self) -> bool:
        return closed_form(self.model)

    @property
    def averages(self) -> bool:
        return True

    def describe(self) -> dict[str, Any]:
        model, broadened = self.model, self.own_nodes > 1
        return {
            "model": model.name,
            "forward": "exact",
            "digest": model.digest,
            "remarks": list(all_remarks(model)),
            "hamiltonian": CONVENTION,
            "scattering": model.scattering.model_dump(),
            "quadrature": {
                "rule": "even grid with patches of energy, shared by wavevectors where it can be"
                if broadened
                else "none",
                "nodes_per_fwhm": GRID_NODES * self.refine if broadened else 0,
                "own_nodes": self.own_nodes * self.refine if broadened else 1,
                "axes": [list(a) for a in model.instrument.q_axes],
                "integrate": [one.model_dump() for one in model.instrument.integrate],
            },
            "resolution": None if model.instrument.resolution is None else energy_resolution(model).source,
        }

    def divergent(self, params: Parameters, points: Points) -> Bool[Array, " q"]:
        """Wavevectors on a Goldstone point, where S ∝ 1/E without Q broadening to average it."""
        if self.own_nodes > 1 or points.Q_abs is not None or points.bins.hkl:
            return super().divergent(params, points)
        E, _ = magnons(self.model, params, points.hkl)
        return jnp.min(E, axis=1) < _ZERO_MODE * jnp.max(E)

    def check(self, params: Parameters) -> None:
        _require_sense(self.model, params)
        require_stable(self.model, params)

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        if points.Q_abs is not None:
            nodes = powder.orientations(self.orientations, self._octant)
            return powder.spectrum(self, params, points, nodes) * self.flux(points.omega)
        seen = lambda place, omega, lines: self.seen(params, place, omega, lines, points.bins.omega)  # noqa: E731
        return self._at_points(params, points, integral(self.model), seen)

    def components(self, params: Parameters, points: Points, over: Integral | None) -> Float[Array, "d v"]:
        """The components of a spectrum, without what is known beside its lines: kf/ki, and the Bose factor of a shape.

        Args:
            params: every parameter by name.
            points: where.
            over: the components that are told apart; None for the sum of all, v = 1.
        """
        bare = lambda place, omega, lines: self.bare(params, place, omega, lines, over, points.bins.omega)  # noqa: E731
        return self._at_points(params, points, over or integral(self.model), bare)

    def _at_points(self, params: Parameters, points: Points, over: Integral | None, seen: Seen) -> Array:
        """What is seen of lines at the points, (d, …), from what is seen of the lines of each wavevector, (q, w, …)."""
        place, size = points.hkl, max(1, _CHUNK // self._nodes(points, over))
        if points.is_table:
            rows = lambda Q, omega: seen(Q, omega, self.lines(params, Q, points.bins, over=over))  # noqa: E731
            found = in_chunks(rows, min(size, _rows(points.rows)), place, points.rows)
            return found.reshape(-1, *found.shape[2:])
        lines = in_chunks(lambda Q: self.lines(params, Q, points.bins, over=over), size, place)
        many = max(1, _CHUNK_LINES // lines[0][0].size)
        return in_chunks(
            lambda omega, at: seen(place[at], omega[:, None], tuple(x[at] for x in lines))[:, 0],
            many,
            points.omega,
            points.index,
        )

    def seen(
        self, params: Parameters, place: Array, omega: Array, lines: Lines, omega_bin: float = 0.0
    ) -> Float[Array, "q w"]:
        """S(Q, ω) of the lines of wavevectors (q, 3) in r.l.u., each with its own energies (q, w) in meV."""
        return self._mixed(place, omega, lines, profile(self.model, params, omega_bin)) * self.flux(omega)

    def bare(
        self,
        params: Parameters,
        place: Array,
        omega: Array,
        lines: Lines,
        over: Integral | None,
        omega_bin: float = 0.0,
    ) -> Float[Array, "q w v"]:
        """`components` of the lines of wavevectors, as for `seen`."""
        shape = profile(self.model, params, omega_bin, bare=True)
        if over is None:
            return self._mixed(place, omega, lines, shape)[..., None]
        one = lambda E, weight, fwhm: line_sum(omega, E, weight, fwhm, shape)  # noqa: E731
        return jax.vmap(one, in_axes=1, out_axes=2)(*lines)

    def _mixed(self, place: Array, omega: Array, lines: Lines, shape: Profile) -> Array:
        """Lines of this shape, the views of an average over a range of Q summed."""
        over = integral(self.model)
        mix = None if over is None else over.mix(self.model, place, omega)
        return view_sum(omega, mix, lines, shape, self._together > 1)

    def flux(self, omega: Array) -> Array | float:
        """kf/ki at energies in meV; 1 where the model does not ask for it."""
        Ei = self.model.instrument.Ei
        return kf_over_ki(omega, Ei) if self.model.scattering.kf_over_ki and Ei is not None else 1.0

    @property
    def _octant(self) -> bool:
        return powder.has_octant(self.model) if self.octant is None else self.octant

    @property
    def _own(self) -> int:
        return self.own_nodes * self.refine if self.own_nodes > 1 else 1

    @property
    def _together(self) -> int:
        """How many views show the same modes with other weights."""
        over = integral(self.model)
        return 1 if over is None or over.components is None else len(over.components)

    def _nodes(self, points: Points, over: Integral | None) -> int:
        """Wavevectors at which magnons are wanted for each of the points'."""
        views = 1 if over is None else len(over.offsets)
        bins = (self.bin_nodes * self.refine) ** len(points.bins.hkl)
        return self._own ** len(self.model.instrument.q_axes) * views * bins

    def lines(
        self,
        params: Parameters,
        place: Float[Array, "q 3"],
        bins: Bins = POINT,
        moved: Moved | None = None,
        over: Integral | None = None,
    ) -> Lines:
        """The lines seen at each wavevector, from nodes of its own.

        Args:
            params: every parameter by name.
            place: wavevectors in r.l.u.
            bins: over which to average in Q.
            moved: how the nodes of the Q broadening are turned and shifted.
            over: the average over a range of Q, or the components, whose views are wanted; by default neither.

        Returns:
            Energy (meV), weight and FWHM (meV), each of shape (q, v, l), where v numbers the views
            of an average over a range of Q and l the lines.
        """
        grid, weight = self._around(params, place, bins, moved)  # (q, b, …, 3)
        E, I = in_chunks(lambda Q: self.views(params, Q, over), _CHUNK, grid.reshape(-1, 3))
        shape = (*grid.shape[:-1], -1)
        views = E.shape[1]
        E, I = E.reshape(shape), I.reshape(shape)
        variance = jnp.zeros_like(E)
        if E.shape[2] > 1:
            beside = (own_neighbours(x, grid.ndim - 3) for x in (E, I))
            paired = continued(E, I, zip(*beside, strict=True), together(self.model, E.shape[-1]), self._together)
            E, I, variance = patch_moments(E, I, paired, self._together)
        I = I * weight.reshape(-1, *shape[2:-1], 1)
        fwhm = with_patch(self.fwhm(params, E), variance)
        return tuple(  # type: ignore[return-value]
            jnp.moveaxis(x.reshape(len(place), -1, views, x.shape[-1] // views), 2, 1).reshape(len(place), views, -1)
            for x in (E, I, fwhm)
        )

    def _around(self, params: Parameters, place: Array, bins: Bins, moved: Moved | None) -> tuple[Array, Array]:
        """Nodes around each place in r.l.u., (q, b, …, 3), and their weights, (b, …)."""
        axes = self.model.instrument.q_axes
        across, share = legendre(bins.hkl, self.bin_nodes * self.refine)
        offsets, weight = q_quadrature(axes, self._own, moved)
        shape = [self._own] * len(axes)
        nodes = place[:, None, None] + across[:, None] + jnp.asarray(params["q_fwhm"]) * offsets
        whole = (share[:, None] * weight).reshape(-1, *shape)
        return nodes.reshape(len(place), len(share), *shape, 3), jnp.asarray(whole)

    def views(self, params: Parameters, hkl: Float[Array, "q 3"], over: Integral | None) -> tuple[Array, Array]:
        """Energies (meV) and weights of the magnons in each view of a wavevector, (q, v, n).

        With a temperature, the magnons that are absorbed stand beside those that are emitted,
        unless the shape of the line carries the Bose factor.
        """
        scattering = self.model.scattering
        E, I = self._cold(params, hkl, over, 1)
        if scattering.temperature is None or (scattering.damping is not None and scattering.line == "oscillator"):
            return E, I
        kT = thermal_energy(self.model, params)
        gained, at = self._cold(params, after(E, hkl), over, -1)
        return jnp.concatenate([E, -gained], -1), jnp.concatenate(
            [I * omega_bose(E, kT) / E, at * -omega_bose(-gained, kT) / -gained], -1
        )

    def _cold(
        self, params: Parameters, hkl: Float[Array, "q 3"], over: Integral | None, sign: int
    ) -> tuple[Array, Array]:
        """Energies and weights of the magnons that are emitted at the views of ± a wavevector, (q, v, n)."""
        if over is None:
            E, I = magnons(self.model, params, sign * hkl)
            return E[:, None], I[:, None]
        foot = over.foot(hkl)
        if over.components is not None:
            return magnons(self.model, params, sign * foot, jnp.asarray(over.components))
        E, I = magnons(self.model, params, sign * (foot[:, None] + over.offsets).reshape(-1, 3))
        shape = (len(hkl), len(over.offsets), -1)
        return E.reshape(shape), I.reshape(shape)

    def fwhm(self, params: Parameters, E: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """FWHM in meV of modes of energy E in meV."""
        return jnp.asarray(params["width"]) * energy_resolution(self.model).fwhm(E)

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies in meV (q, n) and the neutron weight of each mode (q, n), without resolution."""
        return magnons(self.model, params, hkl)

    def explain(self, params: Parameters, points: Points) -> Exception:
        try:
            require_stable(self.model, params, None if points.Q_abs is not None else points.hkl)
        except UnstableStructure as error:
            return error
        return super().explain(params, points)


def _require_sense(model: Model, params: Parameters) -> None:
    """Refuses widths, a temperature and a damping that are none."""
    width, q_fwhm = (float(np.asarray(params[name])) for name in ("width", "q_fwhm"))
    if not width > 0:
        raise ModelError(
            f"width = {width:g} is the factor on the energy resolution; it must be above 0 (1 as it stands)."
        )
    if not q_fwhm >= 0:
        raise ModelError(f"q_fwhm = {q_fwhm:g} r.l.u. is the FWHM of the Q broadening; it must be 0 or more.")
    kT, damping = (float(x) for x in (thermal_energy(model, params), profile(model, params, 0.0).damping))
    if kT < 0 or damping < 0:
        what, x = ("temperature", kT / BOLTZMANN) if kT < 0 else ("damping", damping)
        raise ModelError(f"scattering.{what} is {x:g} at these values; it must be 0 or more. Change its parameters.")


class _OnGrid(Forward):
    """An exact Forward with the nodes of its Q broadening planned for one set of points."""

    inner: Exact
    grid: SharedGrid
    mix: Float[Array, "g w v"] | None  # of the views at the nodes
    planned: Array = eqx.field(converter=jnp.asarray)  # the q_fwhm it was planned for; a number would be recompiled for

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.inner.parameters

    @property
    def parallel(self) -> bool:
        return self.inner.parallel

    def covers(self, params: Parameters) -> bool:
        return float(self.planned) / RANGE <= float(np.asarray(params["q_fwhm"])) <= float(self.planned) * RANGE

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        over = integral(self.inner.model)
        E, I = in_chunks(lambda nodes: self.inner.views(params, nodes, over), _CHUNK, self.grid.nodes)
        views, whole = self.inner._together, E.shape
        E, I = (x.reshape(len(x), -1) for x in (E, I))
        beside = zip(self.grid.beside_nodes(E), self.grid.beside_nodes(I), strict=True)
        paired = continued(E, I, beside, together(self.inner.model, E.shape[1]), views)
        E, I, variance = (x.reshape(whole) for x in patch_moments(E, I, paired, views))
        fwhm = with_patch(self.inner.fwhm(params, E), variance)
        rows = jnp.broadcast_to(self.grid.omega, (E.shape[0], self.grid.omega.shape[0]))
        shape = profile(self.inner.model, params, points.bins.omega)
        if self.mix is None:
            values = in_chunks(lambda w, *lines: view_sum(w, None, lines, shape), _rows(rows), rows, E, I, fwhm)
        else:
            mixed = lambda w, mix, *lines: view_sum(w, mix, lines, shape, views > 1)  # noqa: E731
            values = in_chunks(mixed, _rows(rows), rows, self.mix, E, I, fwhm)
        S = self.grid.average(values, jnp.asarray(params["q_fwhm"])) * self.inner.flux(self.grid.omega)
        return S.reshape(-1)

    def explain(self, params: Parameters, points: Points) -> Exception:
        return self.inner.explain(params, points)


def _rows(omega: Float[Array, "q w"]) -> int:
    """How many rows of pixels are summed at once."""
    return max(1, _CHUNK_PIXELS // omega.shape[1])


def exact(model: Model, refine: int = 1) -> Exact:
    """The exact simulator of a model as a Forward.

    Args:
        model: a magnet with its instrument.
        refine: factor on the nodes of the Q broadening, of bins and of powder averages, to see that they suffice.
    """
    if model.instrument.resolution is not None:
        energy_resolution(model)  # a bad instrument or ion is an error now, not within a fit
    for site in model.sites if model.scattering.form_factor else ():
        coefficients(str(site.ion))
    return Exact(model, refine)
