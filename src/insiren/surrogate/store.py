"""Surrogate files and training checkpoints: safetensors with JSON in the header, never a pickle.

A surrogate file holds the weights as tensors and one JSON text: format version, model, domain,
scale and provenance. Files appear by rename, so there is never half of one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from insiren.errors import ModelError, SurrogateError
from insiren.forward import Parameter
from insiren.instrument.exact import Exact
from insiren.model.spec import Model
from insiren.surrogate.domain import Domain
from insiren.surrogate.siren import Siren
from insiren.surrogate.surrogate import Surrogate
from insiren.surrogate.training import Learner, State

FORMAT = 1
_LARGEST = 200_000_000  # bytes; a network of this kind is a thousand times smaller


def save_surrogate(surrogate: Surrogate, path: str | Path) -> None:
    """Writes a surrogate file; single-precision weights, JSON for the rest."""
    net = surrogate.net
    tensors = {f"weight{n}": np.asarray(W) for n, W in enumerate(net.weights)}
    tensors |= {f"bias{n}": np.asarray(b) for n, b in enumerate(net.biases)}
    facts = {
        "format": FORMAT,
        "scale": surrogate.scale,
        "model": json.loads(surrogate.simulator.model.text),
        "refine": surrogate.simulator.refine,
        "domain": dataclasses.asdict(surrogate.domain),
        "provenance": json.loads(surrogate.provenance),
    }
    _write(Path(path), tensors, facts)


def load_surrogate(path: str | Path) -> Surrogate:
    """A surrogate from its file, or a bundled one by name.

    Raises:
        SurrogateError: there is none, or the file is truncated, altered or of another kind.
    """
    path = bundled_path(str(path)) or Path(path)
    tensors, facts = _read(path)
    if facts.get("format") != FORMAT:
        raise SurrogateError(
            f"{path} has format {facts.get('format')!r}; this version reads {FORMAT}. Train it again, or update it."
        )
    try:
        layers = sum(name.startswith("weight") for name in tensors)
        net = Siren(
            [jnp.asarray(tensors[f"weight{n}"]) for n in range(layers)],
            [jnp.asarray(tensors[f"bias{n}"]) for n in range(layers)],
        )
        model = Model.from_dict(facts["model"], origin=f"The model in {path}")
        domain, scale = _domain(facts["domain"]), float(facts["scale"])
        _check_domain(path, domain, scale, model)
        _check_shapes(path, net, domain)
        return Surrogate(net, scale, domain, Exact(model, int(facts["refine"])), json.dumps(facts["provenance"]))
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


def _domain(facts: dict[str, Any]) -> Domain:
    plain: dict[str, Any] = {name: _tuples(value) for name, value in facts.items() if name != "inputs"}
    return Domain(inputs=tuple(Parameter(**p) for p in facts["inputs"]), **plain)


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down: what was a tuple before it went through JSON."""
    return tuple(_tuples(x) for x in value) if isinstance(value, list) else value


def _check_domain(path: Path, domain: Domain, scale: float, model: Model) -> None:
    n = len(domain.axes)
    ranges = [*domain.q_range, domain.omega, *((p.min, p.max) for p in domain.inputs)]
    known = {p.name for p in domain.inputs} | {name for name, _ in domain.fixed}
    whole = (
        set(domain.axes) <= {0, 1, 2}
        and len(domain.periodic) == len(domain.q_range) == n
        and np.shape(domain.operations)[1:] == (n, n)
        and all(-np.inf < low < high < np.inf for low, high in ranges)
        and known == {p.name for p in model.all_parameters}
        and 0 < scale < np.inf
    )
    if not whole:
        raise SurrogateError(f"{path}: the ranges that it learnt make no sense. Get or train it again.")


def _check_shapes(path: Path, net: Siren, domain: Domain) -> None:
    sizes = [len(domain.lower)]
    for W, b in zip(net.weights, net.biases, strict=True):
        if W.ndim != 2 or b.shape != W.shape[1:] or W.shape[0] != sizes[-1] or W.dtype != jnp.float32:
            raise SurrogateError(f"{path}: the layers of the network do not fit together. Get or train it again.")
        if not bool(jnp.all(jnp.isfinite(W)) & jnp.all(jnp.isfinite(b))):
            raise SurrogateError(f"{path}: the network holds numbers that are not finite. Get or train it again.")
        sizes.append(W.shape[1])
    if sizes[-1] != 1 or len(sizes) < 3:
        raise SurrogateError(f"{path}: the network does not end in one number. Get or train it again.")


def save_checkpoint(state: State, learner: Learner, path: str | Path) -> None:
    """Writes the state of a training, pool included, so that it can go on as if never stopped."""
    leaves = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(state)
    ]
    tensors = {f"leaf{n}": np.asarray(x) for n, x in enumerate(leaves)}
    _write(Path(path), tensors, {"format": FORMAT, "learner": _fingerprint(learner)})


def load_checkpoint(path: str | Path, learner: Learner) -> State:
    """The state of an interrupted training.

    Raises:
        SurrogateError: the file is damaged, or belongs to another model, domain or recipe.
    """
    tensors, facts = _read(Path(path))
    if facts.get("learner") != _fingerprint(learner):
        raise SurrogateError(
            f"{path} belongs to another training: model, ranges, recipe or seed differ. Remove it, or train without "
            "--resume."
        )
    like = jax.eval_shape(learner.start)
    leaves, tree = jax.tree.flatten(like)
    if len(leaves) != len(tensors):
        raise SurrogateError(f"{path} is not a whole checkpoint. Remove it, and train without --resume.")
    found = [jnp.asarray(tensors[f"leaf{n}"]) for n in range(len(leaves))]
    found = [
        jax.random.wrap_key_data(x) if jnp.issubdtype(y.dtype, jax.dtypes.prng_key) else x
        for x, y in zip(found, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, found)


def _fingerprint(learner: Learner) -> dict[str, Any]:
    facts = {"model": learner.exact.model.digest}
    facts |= {"recipe": dataclasses.asdict(learner.recipe), "domain": dataclasses.asdict(learner.domain)}
    return json.loads(json.dumps(facts))


def _write(path: Path, tensors: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    if not path.parent.is_dir():
        raise SurrogateError(f"The folder {path.parent} does not exist, so {path.name} cannot be written there.")
    content = safetensors_bytes(
        {name: np.asarray(x, order="C") for name, x in tensors.items()}, metadata={"insiren": json.dumps(facts)}
    )
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if not path.is_file():
        raise SurrogateError(f"There is no surrogate file {path}.")
    if (size := path.stat().st_size) > _LARGEST:
        raise SurrogateError(f"{path} has {size:,} bytes; a surrogate never has more than {_LARGEST:,}.")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = dict(json.loads((file.metadata() or {})["insiren"]))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise SurrogateError(
            f"{path} is truncated, altered or no file of insiren ({error}). Get or train it again."
        ) from error
