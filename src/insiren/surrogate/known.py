"""What known physics fixes of a spectrum, so that no network need learn it.

    S(Q, ω) = f(ω) Σ_u m_u(Q, ω) B_u(Q, ω),    B_u = Σ_v C_uv L_v.

f is kf/ki, and the Bose factor where the shape of a line carries it. m_u holds form factor and polarisation,
averaged over what detectors reach where a range of Q is integrated over; B_u are components of the correlation
tensor. They repeat from zone to zone as S does not. Of them symmetry often leaves few, L_v, of
which the others are sums; these few are learnt.

Where a Q broadening averages over a form factor that varies within it, the components of S are no factor any more:
then, unless the model integrates over a range as the exact simulator does, only f is taken out. The Bose factor
of sharp lines belongs to each line and is seen through the resolution, so it is learnt as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Parameters, Points, complete
from insiren.instrument.exact import Exact, Lines
from insiren.instrument.integral import Integral, at_a_point, integral
from insiren.instrument.lineshape import omega_bose
from insiren.instrument.profile import thermal_energy
from insiren.instrument.resolution import Moved
from insiren.simulate.chunks import in_chunks

_DEPENDENT = 1e-7  # relative: of a component that is a sum of others, against rounding of sums of many lines
_TRIED = 16  # random wavevectors for each random set of parameters, and
_WAVES = 12  # waves in energy: what is the same for all of them is so at any energy
_CHUNK = 4096  # points whose weights are worked out at once


@dataclasses.dataclass(frozen=True)
class Known:
    """Which components of a spectrum are learnt, and how the others follow.

    Attributes:
        kept: numbers of those that are learnt; none where the components are not told apart.
        shares: C, one row for each component of the simulator.
    """

    kept: tuple[int, ...] = ()
    shares: tuple[tuple[float, ...], ...] = ()

    @property
    def outputs(self) -> int:
        """How many numbers the network gives."""
        return max(1, len(self.kept))


def told_apart(exact: Exact) -> Integral | None:
    """The components of a simulator that known weights make its spectrum of; None where they are not known."""
    over = integral(exact.model)
    if over is not None:
        return over if over.components is not None else None
    broadened = exact.own_nodes > 1 and len(exact.model.instrument.q_axes) > 0
    return None if broadened else at_a_point(exact.model)


def known_of(exact: Exact, trials: Sequence[Parameters]) -> Known | None:
    """What is known of a simulator's spectra; None where it is nothing.

    Args:
        exact: the simulator, given its fixed parameters.
        trials: random parameters, for which a component must be a sum of others to be left out.
    """
    over = told_apart(exact)
    if over is None:
        return Known() if _has_flux(exact) or _is_oscillator(exact) else None
    Q = np.random.default_rng(len(trials)).uniform(-1, 1, (_TRIED, 3))
    B = np.concatenate([_waves(exact, over, params, Q) for params in trials])
    B = B[np.isfinite(B).all(axis=1)]  # where the structure is stable
    if not B.any():
        return None
    size, kept = np.linalg.norm(B, axis=0).max(), []
    for u in range(B.shape[1]):
        if np.linalg.norm(B[:, u] - B[:, kept] @ _sums(B, kept, u)) > _DEPENDENT * size:
            kept.append(u)
    shares = [np.eye(len(kept))[kept.index(u)] if u in kept else _sums(B, kept, u) for u in range(B.shape[1])]
    return Known(tuple(kept), tuple(tuple(float(x) for x in row) for row in shares))


def _sums(B: np.ndarray, kept: list[int], u: int) -> np.ndarray:
    """How a component is nearly a sum of others."""
    return np.linalg.lstsq(B[:, kept], B[:, u], rcond=None)[0] if kept else np.zeros(0)


def _waves(exact: Exact, over: Integral, params: Parameters, Q: np.ndarray) -> Float[np.ndarray, "n u"]:
    """Σ over the magnons of a wavevector of weight times cos(kE), for several k: of every component of its spectrum."""
    sharp = dataclasses.replace(exact, own_nodes=1)  # averages are sums too, but their lines only nearly
    found = eqx.filter_jit(sharp.lines)(complete(sharp.parameters, params), jnp.asarray(Q), over=over)
    E, weight, _ = (np.asarray(x) for x in found)
    k = np.arange(_WAVES) * np.pi / np.max(np.abs(E))
    return np.einsum("qul,kqul->kqu", weight, np.cos(k[:, None, None, None] * E)).reshape(-1, E.shape[1])


def applied(exact: Exact, known: Known | None) -> list[str]:
    """The names of what is applied to the answer of a network."""
    if known is None:
        return []
    scattering, parts = exact.model.scattering, bool(known.kept)
    names = {
        "form factor": parts and scattering.form_factor,
        "polarisation": parts and scattering.correlation == "perp",
        "reach of the detectors": parts and integral(exact.model) is not None,
        "kf/ki": _has_flux(exact),
        "Bose factor": _is_oscillator(exact),
    }
    return [name for name, there in names.items() if there]


def _has_flux(exact: Exact) -> bool:
    return exact.model.scattering.kf_over_ki and exact.model.instrument.Ei is not None


def _is_oscillator(exact: Exact) -> bool:
    scattering = exact.model.scattering
    return scattering.damping is not None and scattering.line == "oscillator"


def learnt(exact: Exact, known: Known | None, params: Parameters, points: Points) -> Float[Array, "d *v"]:
    """What a network learns: S itself, (d,); the rest of it beside f, (d,); or several components, (d, v)."""
    if known is None:
        return exact.spectrum(params, points)
    return _kept(known, exact.components(params, points, told_apart(exact) if known.kept else None))


def lines_of(exact: Exact, known: Known | None, params: Parameters, place: Array, moved: Moved | None = None) -> Lines:
    """The lines of what is learnt at wavevectors (q, 3), see `Exact.lines`."""
    over = told_apart(exact) if known is not None and known.kept else integral(exact.model)
    return exact.lines(params, place, moved=moved, over=over)


def learnt_of(
    exact: Exact, known: Known | None, params: Parameters, place: Array, omega: Array, lines: Lines
) -> Float[Array, "q w *v"]:
    """`learnt` from the lines at wavevectors (q, 3), each with its own energies (q, w)."""
    if known is None:
        return exact.seen(params, place, omega, lines)
    return _kept(known, exact.bare(params, place, omega, lines, told_apart(exact) if known.kept else None))


def _kept(known: Known, B: Array) -> Array:
    if known.outputs > 1:
        return B[..., np.array(known.kept)]
    return B[..., known.kept[0] if known.kept else 0]


def weights(exact: Exact, known: Known, points: Points) -> Float[Array, "d v"]:
    """Σ_u m_u C_uv at the points; it depends on no parameter."""
    over = told_apart(exact)
    if over is None or not known.kept:
        return jnp.ones((len(points), 1))
    C = np.array(known.shares)
    one = lambda hkl, omega: over.mix(exact.model, hkl, omega[:, None])[:, 0] @ C  # noqa: E731
    return in_chunks(one, _CHUNK, points.hkl[points.index], points.omega)


def factor(exact: Exact, params: Parameters, omega: Float[Array, " d"]) -> Float[Array, " d"]:
    """f(ω) at energies in meV."""
    bose = omega_bose(omega, thermal_energy(exact.model, params)) if _is_oscillator(exact) else 1.0
    return exact.flux(omega) * bose * jnp.ones_like(omega)
