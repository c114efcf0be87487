"""Linear spin wave theory: H(Q), Bogoliubov, magnon energies and their neutron weights.

Spins are written in local frames, Sⱼ = nⱼ (Sⱼ − b†b) + √(Sⱼ/2) (ūⱼ b + uⱼ b†) with
u = e₁ + i e₂ and (e₁, e₂, n) right-handed, and only terms of second order are kept. With rows
ordered (b₁ … bₙ, b₁† … bₙ†) the Hamiltonian is H(Q) = X(Q) + X(Q)†, X(Q) = Σ_d e^(2πi Q·d) W_d, a
single matrix product over the distinct bond displacements d, linear in the couplings.

Source: Toth and Lake, J. Phys.: Condens. Matter 27, 166002 (2015); Colpa, Physica A 93, 327 (1978).
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.csgraph
from jaxtyping import Array, Complex, Float

from insiren.forward import Parameters
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.domains import domain_models
from insiren.model.frame import drawn, require_turning_symmetry, turn
from insiren.model.hamiltonian import Couplings, couplings
from insiren.model.spec import Model
from insiren.model.structure import MagneticCell, magnetic_cell
from insiren.simulate.formfactor import form_factors
from insiren.simulate.pairs import GOLDSTONE_SHIFT, lines_of_pairs

# Energies closer than this, relative to the largest, count as one level in derivatives. The
# error is of second order in it, the rounding of first order in its inverse.
DEGENERATE = 1e-6
_ROUNDING = 1e-12  # of frames, relative


@dataclasses.dataclass(frozen=True, eq=False)
class SpinWaves:
    """What LSWT needs of a model and does not depend on parameters.

    Attributes:
        cell: the magnetic cell.
        frames: local frames, u = e₁ + i e₂ of each magnetic site, shape (s, 3).
        offsets: distinct bond displacements in crystal cells, the origin first, shape (o, 3).
        start, end: magnetic sites of each bond, shape (b,).
        offset: which displacement each bond has, shape (b,).
        which: the bond of the crystal cell (`Model.bonds`) that it is a copy of, shape (b,).
        backward: whether it runs against its displacement's sign, so that J is transposed, shape (b,).
        turn: rotation of the frame along each bond before that, shape (b, 3, 3).
    """

    cell: MagneticCell
    frames: np.ndarray
    offsets: np.ndarray
    start: np.ndarray
    end: np.ndarray
    offset: np.ndarray
    which: np.ndarray
    backward: np.ndarray
    turn: np.ndarray


@functools.lru_cache(maxsize=64)
def spin_waves(model: Model) -> SpinWaves:
    """The parameter-free part of the spin wave problem of a model."""
    cell = magnetic_cell(model)
    offsets: dict[tuple[int, ...], int] = {(0, 0, 0): 0}
    bonds, turns = [], []
    for i, j, shift, which in cell.bonds:
        backward = shift < (0, 0, 0)  # a bond and its reverse share one displacement
        key = tuple(-x for x in shift) if backward else shift
        offset = offsets.setdefault(key, len(offsets))
        bonds.append((j, i, offset, which, True) if backward else (i, j, offset, which, False))
        turns.append(turn(cell, shift))
    start, end, offset, which, backward = np.array(bonds, int).reshape(-1, 5).T
    require_turning_symmetry(model, cell)
    return SpinWaves(
        cell=cell,
        frames=_frames(cell.direction),
        offsets=np.array(list(offsets), float),
        start=start,
        end=end,
        offset=offset,
        which=which,
        backward=backward.astype(bool),
        turn=np.array(turns).reshape(-1, 3, 3),
    )


def bond_exchange(model: Model, terms: Couplings) -> Float[Array, "b 3 3"]:
    """The exchange of each bond of the magnetic cell in meV, in the rotating frame if there is one."""
    waves = spin_waves(model)
    J = terms.exchange[waves.which] @ waves.turn
    return jnp.where(waves.backward[:, None, None], jnp.swapaxes(J, 1, 2), J)


def _frames(direction: np.ndarray) -> np.ndarray:
    """u = e₁ + i e₂ with e₁ × e₂ = n, for each direction n."""
    helper = np.where(np.abs(direction[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])  # never parallel to n
    e1 = np.cross(helper, direction)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    return e1 + 1j * np.cross(direction, e1)


def weights(model: Model, params: Parameters) -> Complex[Array, "o m m"]:
    """W_d of every displacement: H(Q) = X + X†, X = Σ_d e^(2πi Q·d) W_d.

    Returns:
        Matrices in meV without Z_c, rows ordered (b₁ … bₙ, b₁† … bₙ†).
    """
    waves, terms = spin_waves(model), couplings(model, params)
    n, S, u = waves.cell.direction, waves.cell.spin, waves.frames
    s, i, j, d = len(S), waves.start, waves.end, waves.offset
    J = bond_exchange(model, terms)
    root = np.sqrt(S[i] * S[j]) / 2
    along = jnp.einsum("ba,bac,bc->b", n[i], J, n[j])
    hop, pair = (root * jnp.einsum("ba,bac,bc->b", u[i], J, other[j]) for other in (u.conj(), u))
    A, a = terms.anisotropy[waves.cell.site], np.arange(s)
    easy, soft = (jnp.einsum("sa,sab,sb->s", one, A, other) for one, other in ((n, n), (u.conj(), u)))
    level = -2 * S * easy + S * soft.real + jnp.sum(terms.zeeman[waves.cell.site] * n, axis=1)
    twist = S * jnp.einsum("sa,sab,sb->s", u, A, u)
    entries = [  # (displacement, row, column, value); on-site values are halved, since X† adds the rest
        (d, i, j, hop), (d, s + i, s + j, hop.conj()), (d, i, s + j, pair), (d, s + i, j, pair.conj()),
        # the level of one end takes the spin of the other
        *((0 * d, e + half, e + half, -S[o] * along / 2) for e, o in ((i, j), (j, i)) for half in (0, s)),
        *((0 * a, a + half, a + half, level / 2) for half in (0, s)),
        (0 * a, a, s + a, twist / 2), (0 * a, s + a, a, twist.conj() / 2),
    ]  # fmt: skip
    place = [np.concatenate(column) for column in zip(*(entry[:3] for entry in entries), strict=True)]
    values = jnp.concatenate([entry[3].astype(complex) for entry in entries])
    return jnp.zeros((len(waves.offsets), 2 * s, 2 * s), complex).at[tuple(place)].add(values)


def hamiltonian(model: Model, W: Complex[Array, "o m m"], hkl: Float[Array, "q 3"]) -> Complex[Array, "q m m"]:
    """H(Q) in meV, without Z_c, for wavevectors in crystal r.l.u. (see `weights`)."""
    phase = jnp.exp(2j * jnp.pi * (hkl @ spin_waves(model).offsets.T))
    X = (phase @ W.reshape(W.shape[0], -1)).reshape(-1, *W.shape[1:])
    return X + jnp.conj(jnp.swapaxes(X, -1, -2))


def bogoliubov(H: Complex[Array, "m m"], metric: tuple[int, ...]) -> tuple[Float[Array, " m"], Complex[Array, "m m"]]:
    """Energies and para-unitary vectors of a quadratic boson Hamiltonian at one Q.

    Solves g H t = E t: with H = L L† and L† g L U = U E, the vectors are T = g L U |E|^(-1/2),
    normalised to T† g T = sign E.

    Args:
        H: Hamiltonian in meV, Hermitian.
        metric: the diagonal of g, 1 for each row that is a magnon, then −1 for each hole.

    Returns:
        Energies in meV, ascending, as many negative ones first as there are holes, and the vectors as columns. Both
        are NaN where H is not positive definite; the public edge turns that into an error.

    Source: Colpa, Physica A 93, 327 (1978).
    """
    E, U, L = _diagonalised(H, metric)
    return E, np.array(metric, float)[:, None] * (L @ U) / jnp.sqrt(jnp.abs(E))


def _diagonalised(H: Complex[Array, "m m"], metric: tuple[int, ...]):
    """E and U of L† g L U = U E, and L, for a metric that has its magnons first.

    L is triangular, with the blocks A (magnons), C (holes) and B below A, so that only half of the products of
    L† g L are worked out; and eigh reads no more than the lower triangle.
    """
    n = metric.count(1)
    shift = GOLDSTONE_SHIFT * jnp.max(jnp.abs(jnp.diagonal(H).real))
    L = jnp.linalg.cholesky(H + shift * jnp.eye(len(metric)), symmetrize_input=False)
    A, B, C = L[:n, :n], L[n:, :n], L[n:, n:]
    below = -_dagger(C) @ L[n:]
    M = jnp.concatenate([jnp.pad(_dagger(A) @ A - _dagger(B) @ B, ((0, 0), (0, len(metric) - n))), below])
    E, U = jnp.linalg.eigh(M, symmetrize_input=False)
    return E, U, L


def _dagger(matrix: Complex[Array, "r c"]) -> Complex[Array, "c r"]:
    return jnp.conj(matrix.T)


def amplitudes(
    model: Model, hkl: Float[Array, "q 3"], g: Float[Array, "s 3 3"] | None = None, form_factor: bool = False
) -> Complex[Array, "q r m 3"]:
    """How each boson operator enters the spin at Q: S(Q) = Σ w* x, per root of a crystal cell.

    Args:
        model: the magnet.
        hkl: wavevectors in r.l.u.
        g: tensors of the crystal sites; with them each spin counts as g S / 2.
        form_factor: whether the form factor of its ion multiplies each spin.

    Returns:
        w with axes (wavevector, branch, boson operator, Cartesian component). There is one
        branch, or those of a rotating frame, at the wavevectors of `branch_wavevectors`.
    """
    waves = spin_waves(model)
    cell = waves.cell
    phase = jnp.exp(2j * jnp.pi * (hkl @ cell.position.T))  # (q, s)
    if form_factor:
        length2 = jnp.sum(to_inverse_angstrom(model, hkl) ** 2, axis=1)
        length = jnp.where(length2 > 0, jnp.sqrt(jnp.where(length2 > 0, length2, 1.0)), 0.0)  # a gradient at Q = 0 too
        phase = phase * form_factors(tuple(str(model.sites[n].ion) for n in cell.site), length)
    local = np.sqrt(cell.spin / 2 / cell.cells)[:, None] * waves.frames
    turned = jnp.einsum("rab,hsb->rhsa", branches(cell)[1], np.stack([local, local.conj()]))
    if g is not None:
        turned = jnp.einsum("sca,rhsa->rhsc", g[cell.site] / 2, turned)
    return jnp.einsum("qs,rhsa->qrhsa", phase, turned).reshape(len(hkl), turned.shape[0], -1, 3)


def branches(cell: MagneticCell) -> tuple[Float[np.ndarray, "r 3"], Complex[np.ndarray, "r 3 3"]]:
    """Branches of a rotating frame: by how much their wavevectors differ from Q, in r.l.u., and their projectors.

    With S(R) = Rot(2π k·R) S'(R) and Rot(φ) = nnᵀ + ½e^(iφ)(1 − nnᵀ − i n×) + c.c.,
    the part e^(iφ) belongs to the wavevector Q + k of the rotating frame. Displacements of H(Q) are lattice vectors,
    so that it has the period of the reciprocal lattice: where 2k is one of its vectors, Q − k and Q + k are the same
    boson, and where k is, Q too. Then their amplitudes add up, with what they have in common.
    """
    if cell.k is None or cell.axis is None:
        return np.zeros((1, 3)), np.eye(3, dtype=complex)[None]
    x, y, z = cell.axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    along = np.outer(cell.axis, cell.axis) + 0j
    plus = (np.eye(3) - along - 1j * cross) / 2
    projectors = np.stack([plus.conj(), along, plus])
    if _is_whole(cell.k):
        return np.zeros((1, 3)), projectors.sum(0)[None]
    if _is_whole(2 * cell.k):
        return np.stack([0 * cell.k, cell.k]), np.stack([along, projectors[0] + projectors[2]])
    return np.array([-1.0, 0.0, 1.0])[:, None] * cell.k, projectors


def _is_whole(k: np.ndarray) -> bool:
    return bool(np.array_equal(k, np.round(k)))  # `cell_of` has made k exact


def branch_wavevectors(model: Model, hkl: Float[Array, "q 3"]) -> Float[Array, "q r 3"]:
    """Where the magnons of each branch live, in r.l.u.: Q, or those of a rotating frame, see `branches`."""
    return hkl[:, None] + branches(spin_waves(model).cell)[0]


@functools.lru_cache(maxsize=64)
def blocks(model: Model) -> tuple[tuple[int, ...], ...]:
    """The boson operators that H(Q) mixes, as sets; a conserved spin component splits them.

    Found from the pattern of non-zero elements at parameters drawn at random, so that no
    special value hides a coupling.
    """
    size = np.max(np.abs(np.asarray(drawn(model, weights))), axis=0)
    joined = (size + size.T) > _ROUNDING * size.max()
    _, label = scipy.sparse.csgraph.connected_components(joined, directed=False)
    return tuple(tuple(np.flatnonzero(label == n).tolist()) for n in range(label.max() + 1))


def block_lines(
    model: Model, H: Complex[Array, "m m"], w: Complex[Array, "m 3"], P: Float[Array, "v 3 3"]
) -> tuple[Float[Array, "v n"], Float[Array, "v n"]]:
    """`lines` of one H, block by block; a block of one magnon and one hole in closed form."""
    s, found, pairs = H.shape[-1] // 2, [], []
    for block in blocks(model):
        metric = tuple(1 if b < s else -1 for b in block)
        if metric == (1, -1):
            pairs.append(block)
        elif 1 in metric:  # holes alone are the magnons of −Q
            index = np.array(block)
            if found:
                H = after(found[-1][0], H)
            found.append(lines(metric, H[index[:, None], index], w[index], P))
    if pairs:
        b, c = np.array(pairs).T
        elements = H[b, b].real, H[c, c].real, H[b, c].real, H[b, c].imag
        found.append(lines_of_pairs(jnp.stack(elements, -1), w[np.array(pairs)], P))
    return jnp.concatenate([E for E, _ in found], 1), jnp.concatenate([I for _, I in found], 1)


def after(energies: Float[Array, " ..."], values: Array) -> Array:
    """The same values, but not before the energies are known.

    XLA's batched eigh waits on the very threads that it needs. Two at once on two cores would wait for
    each other for ever, so every diagonalisation of a programme is made to depend on the one before.
    """
    return values + 0 * energies.reshape(-1)[0]


def all_pairs(model: Model) -> bool:
    """Whether every magnon of a model is mixed with one hole and nothing else."""
    return all(len(block) == 2 and block[1] >= len(spin_waves(model).cell.site) for block in _magnon_blocks(model))


def closed_form(model: Model) -> bool:
    """Whether all magnons of a model are found without a diagonalisation, so that two threads may look for some."""
    return all(_all_small(magnet) for magnet in domain_models(model))


def _all_small(model: Model) -> bool:
    n = len(spin_waves(model).cell.site)
    return all(sum(b < n for b in block) <= 1 and len(block) <= 2 for block in blocks(model))


def pair_lines(
    model: Model,
    W: Complex[Array, "o m m"],
    hkl: Float[Array, "q 3"],
    w: Complex[Array, "q m 3"],
    P: Float[Array, "q v 3 3"],
) -> tuple[Float[Array, "q v n"], Float[Array, "q v n"]]:
    """`block_lines` at many wavevectors of a model with nothing but pairs, of which no H(Q) is ever built."""
    pairs = _magnon_blocks(model)
    b, c = np.array(pairs).T
    to_cos, to_sin = W[:, b, c] + W[:, c, b].conj(), W[:, b, c] - W[:, c, b].conj()
    one, two = W[:, b, b], W[:, c, c]
    # H = Σ cos (W + W†) + i sin (W − W†); of the diagonal elements that is real
    by_cos = jnp.stack([2 * one.real, 2 * two.real, to_cos.real, to_cos.imag], -1)
    by_sin = jnp.stack([-2 * one.imag, -2 * two.imag, -to_sin.imag, to_sin.real], -1)
    angle = 2 * jnp.pi * (hkl @ spin_waves(model).offsets.T)
    turning = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], 1)
    H = turning @ jnp.concatenate([by_cos, by_sin]).reshape(-1, 4 * len(pairs))
    return lines_of_pairs(H.reshape(-1, len(pairs), 4), w[:, np.array(pairs)], P)


def line_runs(model: Model) -> tuple[int, ...]:
    """How many lines of `block_lines` come from each diagonalisation, and are ascending; pairs come one by one."""
    n = len(spin_waves(model).cell.site)
    found = [sum(b < n for b in block) for block in _magnon_blocks(model)]
    larger = [m for m, block in zip(found, _magnon_blocks(model), strict=True) if len(block) != 2 or m != 1]
    return (*larger, *[1] * (n - sum(larger)))


def _magnon_blocks(model: Model) -> tuple[tuple[int, ...], ...]:
    """The `blocks` that hold a magnon; holes alone are the magnons of −Q."""
    n = len(spin_waves(model).cell.site)
    return tuple(block for block in blocks(model) if block[0] < n)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def lines(
    metric: tuple[int, ...], H: Complex[Array, "m m"], w: Complex[Array, "m 3"], P: Float[Array, "v 3 3"]
) -> tuple[Float[Array, "v n"], Float[Array, "v n"]]:
    """Energies of the magnons of one H and their weights Σ_ab P_ab S^ab.

    Any smooth spectrum Σ I h(E) has the right derivative, at degenerate levels too, where the
    derivative of a single vector does not exist: the spectrum is a matrix function of g H,
    whose derivative is a sum of divided differences [h(Eᵢ) − h(Eⱼ)]/(Eᵢ − Eⱼ), h′(E) within a
    level. The first goes into dI; the second, I dE, into dE. So dE is that of the centre of a
    level seen through the weights, not of one magnon.

    Args:
        metric: 1 for each row of H that is a magnon, then −1 for each hole.
        H: Hamiltonian in meV.
        w: amplitudes of the three spin components, see `amplitudes`.
        P: real, symmetric and not negative, the weights of the correlations S^ab in each view.

    Returns:
        Energies in meV, ascending, and weights, of as many magnons as the metric has, in each view.
        The energies are the same in all; their derivatives, within a level, are not.

    Source: Daleckii and Krein, AMS Transl. 47, 1 (1965), in the metric g.
    """
    E, U, L = _diagonalised(H, metric)
    first = metric.count(-1)
    v = _seen(E[first:], U[:, first:], L, metric, w)
    I = jnp.sum((v.conj() * (v @ P)).real, -1)
    return jnp.broadcast_to(E[first:], I.shape), I


def _seen(E: Array, U: Array, L: Array, metric: tuple[int, ...], w: Array) -> Array:
    """T† w = |E|^(-1/2) U† (L† g w), without the vectors T: w has three columns only."""
    return _dagger(U) @ (_dagger(L) @ (np.array(metric, float)[:, None] * w)) / jnp.sqrt(jnp.abs(E))[:, None]


@lines.defjvp
def _lines_jvp(metric, primals, tangents):
    # Everything but the last paragraph is shared by all tangents, which cost one product with dH each.
    (H, w, P), (dH, dw, dP) = primals, tangents
    E, U, L = _diagonalised(H, metric)
    T = np.array(metric, float)[:, None] * (L @ U) / jnp.sqrt(jnp.abs(E))
    first, sign = metric.count(-1), np.sort(metric)
    v = _seen(E, U, L, metric, w)
    up, Pv = v[first:], v @ P
    I = jnp.sum((up.conj() * Pv[:, first:]).real, -1)
    dark = jnp.abs(I) < jnp.finfo(float).tiny
    G = sign * (up.conj() @ jnp.swapaxes(Pv, 1, 2))
    gap = E[first:, None] - E
    same = (jnp.abs(gap) < DEGENERATE * E[-1]) & (sign > 0)
    spread = jnp.where(same, 0, 2 * G / jnp.where(same, 1, gap)) @ T.T
    level = jnp.where(same, G, 0) / jnp.where(dark, jnp.inf, I)[..., None] @ T.T

    turned = _dagger(T[:, first:]) @ dH
    dE = jnp.sum((turned * level).real, -1)
    dI = jnp.sum((turned * spread).real, -1)
    dI += 2 * jnp.sum((up.conj() * (_dagger(T[:, first:]) @ dw @ P)).real, -1)
    dI += jnp.sum((up.conj() * (up @ dP)).real, -1)
    return (jnp.broadcast_to(E[first:], I.shape), I), (dE, dI)
