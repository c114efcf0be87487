"""Surrogate files: safetensors with JSON in the header, never a pickle.

A surrogate file holds the weights as tensors and one JSON text: format version, model (none, where it
learnt from spectra alone), domain, scale, provenance and the SHA-256 of all that. Files appear by
rename, so there is never half of one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from insiren.errors import ModelError, SurrogateError
from insiren.forward import Parameter
from insiren.instrument.exact import Exact
from insiren.model.spec import Model
from insiren.surrogate.domain import Domain
from insiren.surrogate.errormap import ErrorMap, inputs_of_map
from insiren.surrogate.known import Known, told_apart
from insiren.surrogate.phase import Phase
from insiren.surrogate.region import Region
from insiren.surrogate.siren import Siren
from insiren.surrogate.surrogate import Surrogate

FORMAT = 5  # 5: what is known of the spectrum and applied to the answer
READ = (2, 3, 4, FORMAT)  # 2: a checksum, no model; 3: a map of errors, and their phase; 4: a first guess
_MOST_NODES = 64  # of a guide, along an axis
_LARGEST = 200_000_000  # bytes; a network of this kind is a thousand times smaller


def save_surrogate(surrogate: Surrogate, path: str | Path) -> None:
    """Writes a surrogate file; single-precision weights, JSON for the rest."""
    simulator, errors, phase = surrogate.simulator, surrogate.errors, surrogate.phase
    tensors = _layers(surrogate.net)
    if errors is not None:
        tensors |= _layers(errors.net, "error_")
    if phase is not None:
        tensors |= {"phase_sets": np.asarray(phase.sets), "phase_stable": np.asarray(phase.stable)}
    facts = {
        "format": FORMAT,
        "scale": surrogate.scale,
        "model": None if simulator is None else json.loads(simulator.model.text),
        "guide_nodes": surrogate.guide_nodes,
        "known": None if surrogate.known is None else dataclasses.asdict(surrogate.known),
        "refine": 1 if simulator is None else simulator.refine,
        "domain": dataclasses.asdict(surrogate.domain),
        "provenance": json.loads(surrogate.provenance),
        "errors": None if errors is None else {"factor": errors.factor, "length": errors.length},
    }
    write_tensors(Path(path), tensors, facts)


def load_surrogate(path: str | Path) -> Surrogate:
    """A surrogate from its file, or a bundled one by name.

    Raises:
        SurrogateError: there is none, or the file is truncated, altered or of another kind.
    """
    path = bundled_path(str(path)) or Path(path)
    tensors, facts = read_tensors(path)
    try:
        guide = int(facts.get("guide_nodes", 0))
        net = _network(tensors, guided=guide > 0)
        written, refine = facts["model"], int(facts["refine"])
        model = None if written is None else Model.from_dict(_stated(written), origin=f"The model in {path}")
        domain, scale = _domain(facts["domain"]), float(facts["scale"])
        _check_domain(path, domain, scale, model, guide)
        simulator = None if model is None else Exact(model, refine)
        known = _known(path, facts.get("known"), simulator, domain)
        outputs = 1 if known is None else known.outputs
        inputs = len(domain.lower) + net.guided * outputs
        _check_shapes(path, net, inputs, outputs)
        stated = None if facts["format"] == 2 else facts["errors"]
        errors = None if stated is None else _errors(path, tensors, stated, inputs_of_map(inputs, outputs))
        made = json.dumps(facts["provenance"])
        return Surrogate(net, scale, domain, simulator, made, errors, _phase(path, tensors, domain), guide, known)
    except (KeyError, TypeError, ValueError, ModelError) as error:
        raise SurrogateError(f"{path} is not a whole surrogate file ({error!r}). Get or train it again.") from error


def bundled_surrogates() -> list[str]:
    """File names of the surrogates that come with the package."""
    folder = resources.files("insiren.surrogate") / "bundled"
    return sorted(item.name for item in folder.iterdir() if item.name.endswith(".insiren")) if folder.is_dir() else []


def bundled_path(name: str) -> Path | None:
    """The file of a bundled surrogate, unless a file of this name is at hand."""
    if Path(name).exists() or name not in bundled_surrogates():
        return None
    return Path(str(resources.files("insiren.surrogate") / "bundled" / name))


def _layers(net: Siren, prefix: str = "") -> dict[str, np.ndarray]:
    """The tensors of a network by name."""
    tensors = {f"{prefix}weight{n}": np.asarray(W) for n, W in enumerate(net.weights)}
    return tensors | {f"{prefix}bias{n}": np.asarray(b) for n, b in enumerate(net.biases)}


def _network(tensors: dict[str, np.ndarray], prefix: str = "", guided: bool = False) -> Siren:
    layers = range(sum(name.startswith(f"{prefix}weight") for name in tensors))
    weights, biases = ([jnp.asarray(tensors[f"{prefix}{kind}{n}"]) for n in layers] for kind in ("weight", "bias"))
    return Siren(weights, biases, guided)


def _errors(path: Path, tensors: dict[str, np.ndarray], facts: dict[str, Any], inputs: int) -> ErrorMap:
    found = ErrorMap(_network(tensors, "error_"), float(facts["factor"]), float(facts["length"]))
    _check_shapes(path, found.net, inputs)
    if not (0 < found.factor < np.inf and 0 < found.length < np.inf):
        raise SurrogateError(f"{path}: its map of errors makes no sense. Get or train it again.")
    return found


def _known(path: Path, facts: dict[str, Any] | None, simulator: Exact | None, domain: Domain) -> Known | None:
    if facts is None:
        return None
    known = Known(_tuples(facts["kept"]), _tuples(facts["shares"]))
    over = None if simulator is None else told_apart(simulator.given(dict(domain.fixed)))
    many = len(over.components) if known.kept and over is not None and over.components is not None else 0
    shares = np.array(known.shares, float).reshape(-1, len(known.kept))
    whole = set(known.kept) <= set(range(many)) and len(shares) == many and np.isfinite(shares).all()
    if simulator is None or not whole or list(known.kept) != sorted(set(known.kept)):
        raise SurrogateError(f"{path}: the components that it learnt make no sense. Get or train it again.")
    return known


def _phase(path: Path, tensors: dict[str, np.ndarray], domain: Domain) -> Phase | None:
    if "phase_sets" not in tensors:
        return None
    sets, stable = tensors["phase_sets"], tensors["phase_stable"]
    whole = sets.shape == (len(stable), len(domain.inputs)) and stable.dtype == bool and sets.dtype == np.float32
    if not (whole and np.isfinite(sets).all()):
        raise SurrogateError(f"{path}: the stable phase that it learnt makes no sense. Get or train it again.")
    return Phase(jnp.asarray(sets), jnp.asarray(stable))


def _domain(facts: dict[str, Any]) -> Domain:
    plain: dict[str, Any] = {name: _tuples(value) for name, value in facts.items() if name not in ("inputs", "region")}
    if "periodic" in plain:  # of format 2: whether with period 1
        plain["period"] = tuple(map(int, plain.pop("periodic")))
    written = facts.get("region")
    region = None if written is None else Region(_tuples(written["pieces"]), float(written["around"]))
    return Domain(inputs=tuple(Parameter(**p) for p in facts["inputs"]), region=region, **plain)


def _stated(model: dict[str, Any]) -> dict[str, Any]:
    """A stored model without "meV", which older versions wrote for parameters of any use where no unit was given."""
    tables = model.get("parameters", {})
    plain = {n: {k: x for k, x in one.items() if (k, x) != ("unit", "meV")} for n, one in tables.items()}
    return {**model, "parameters": plain}


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down: what was a tuple before it went through JSON."""
    return tuple(_tuples(x) for x in value) if isinstance(value, list) else value


def _check_domain(path: Path, domain: Domain, scale: float, model: Model | None, guided: int) -> None:
    n = len(domain.axes)
    ranges = [*domain.q_range, domain.omega, *((p.min, p.max) for p in domain.inputs)]
    known = {p.name for p in domain.inputs} | {name for name, _ in domain.fixed}
    whole = (
        set(domain.axes) <= {0, 1, 2}
        and len(domain.period) == len(domain.q_range) == n
        and all(isinstance(p, int) and p >= 0 for p in domain.period)
        and _is_region(domain.region)
        and np.shape(domain.operations)[1:] == (n, n)
        and all(-np.inf < low < high < np.inf for low, high in ranges)
        and known == ({p.name for p in model.all_parameters} if model else {p.name for p in domain.inputs})
        and 0 < scale < np.inf
        and (model is not None or not guided)
        and 0 <= guided <= _MOST_NODES
    )
    if not whole:
        raise SurrogateError(f"{path}: the ranges that it learnt make no sense. Get or train it again.")


def _is_region(region: Region | None) -> bool:
    """Whether a region can be one: finite pieces of up to three edges."""
    if region is None:
        return True
    parts = [np.array([origin, *edges], float) for origin, edges in region.pieces]
    shapes = all(x.ndim == 2 and x.shape[1] == 3 and 2 <= len(x) <= 4 and np.isfinite(x).all() for x in parts)
    return bool(parts) and shapes and 0 <= region.around < np.inf


def _check_shapes(path: Path, net: Siren, inputs: int, outputs: int = 1) -> None:
    sizes = [inputs]
    for W, b in zip(net.weights, net.biases, strict=True):
        if W.ndim != 2 or b.shape != W.shape[1:] or W.shape[0] != sizes[-1] or W.dtype != jnp.float32:
            raise SurrogateError(f"{path}: the layers of the network do not fit together. Get or train it again.")
        if not bool(jnp.all(jnp.isfinite(W)) & jnp.all(jnp.isfinite(b))):
            raise SurrogateError(f"{path}: the network holds numbers that are not finite. Get or train it again.")
        sizes.append(W.shape[1])
    if sizes[-1] != outputs or len(sizes) < 3:
        raise SurrogateError(f"{path}: the network does not end in {outputs} number(s). Get or train it again.")


def checksum(tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> str:
    """SHA-256 of tensors, their names, types and shapes, and of the facts beside them."""
    digest = hashlib.sha256(json.dumps({**facts, "sha256": ""}, sort_keys=True).encode())
    for name in sorted(tensors):
        x = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {x.dtype} {x.shape}".encode())
        digest.update(x.tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Writes tensors, JSON-like facts and their checksum as one file, by rename."""
    if not path.parent.is_dir():
        raise SurrogateError(f"The folder {path.parent} does not exist, so {path.name} cannot be written there.")
    facts = facts | {"sha256": checksum(tensors, facts)}
    content = safetensors_bytes(
        {name: np.asarray(x, order="C") for name, x in tensors.items()}, metadata={"insiren": json.dumps(facts)}
    )
    temporary = path.with_name(f".{path.name}.partial")  # one name: what a killed process leaves is overwritten
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_tensors(path: Path, most: int = _LARGEST) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and facts of a file, its size and checksum verified.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        SurrogateError: there is none, it is too large, truncated, altered or of another kind.
    """
    if not path.is_file():
        raise SurrogateError(f"There is no surrogate file {path}.")
    if (size := path.stat().st_size) > most:
        raise SurrogateError(f"{path} has {size:,} bytes; a surrogate never has more than {most:,}.")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = dict(json.loads((file.metadata() or {})["insiren"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise SurrogateError(
            f"{path} is truncated, altered or no file of insiren ({error}). Get or train it again."
        ) from error
    if facts.get("format") not in READ:
        raise SurrogateError(
            f"{path} has format {facts.get('format')!r}; this version reads {READ[0]} to {FORMAT}. Train it again, or "
            "update insiren."
        )
    if (found := checksum(tensors, facts)) != facts.get("sha256"):
        raise SurrogateError(
            f"{path} was altered: the SHA-256 of its content is {found[:12]}…, not the one that it states. Get "
            "or train it again."
        )
    return tensors, facts
