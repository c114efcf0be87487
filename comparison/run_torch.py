"""PyTorch on a network of the table of speed, in a process of its own (see serve.py)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from serve import serve


class Sine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)


def prepare(problem: Any) -> Callable[[], Any]:
    torch.set_num_threads(1)
    width, layers, steps = (int(problem[name]) for name in ("width", "layers", "steps"))
    sizes = [int(problem["inputs"])] + [width] * layers
    parts = [part for a, b in itertools.pairwise(sizes) for part in (torch.nn.Linear(a, b), Sine())]
    net = torch.nn.Sequential(*parts, torch.nn.Linear(width, 1))
    x, y = torch.rand(int(problem["batch"]), sizes[0]), torch.zeros(int(problem["batch"]))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)

    def train() -> None:
        for _ in range(steps):
            adam.zero_grad()
            loss = torch.mean((net(x)[:, 0] - y) ** 2)
            loss.backward()
            adam.step()

    def evaluate() -> None:
        with torch.no_grad():
            for _ in range(steps):
                net(x)

    return evaluate if problem["what"] == "evaluate" else train


if __name__ == "__main__":
    serve(prepare, lambda _, found: {})
