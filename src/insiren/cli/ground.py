"""`insiren models NAME --minimise`: the magnetic structure of lowest energy, ready for a model file."""

from __future__ import annotations

from pathlib import Path

from insiren.cli.session import Timer, facts, write_json


def print_ground(
    name: str, values: dict[str, float], starts: int | None, seed: int, free_k: bool, out: Path | None
) -> None:
    """Minimises the energy of a model and prints what was found, or writes it as JSON."""
    from insiren.errors import UnstableStructure
    from insiren.forward import complete
    from insiren.model.ground import STARTS, minimise_energy
    from insiren.model.spec import load_model
    from insiren.simulate.stability import require_stable

    model = load_model(name)
    with Timer() as timer:
        found = minimise_energy(model, values, starts or STARTS, seed, timer, free_k)
        timer("stability", 0.0)
        try:
            require_stable(found.model, complete(model.all_parameters, values))
            verdict = "H(Q) has no negative eigenvalue over the zone: the structure is stable."
        except UnstableStructure as error:
            verdict = f"It is not stable. {error}"
    content = {
        "model": model.name, "energy": found.energy, "torque": found.torque, "directions": found.directions.tolist(),
        "k": None if found.k is None else found.k.tolist(), "starts": {"n": found.starts, "agree": found.reached},
        "energies": found.energies.tolist(), "counts": found.counts.tolist(), "soft": found.soft,
        "stability": verdict, "set": values,
        **facts(timer.seconds),
    }  # fmt: skip
    write_json(content, out)
    if str(out) != "-":
        print(f"{model.name}\n{found.describe()}\n{verdict}\n\n{found.toml()}", end="")
