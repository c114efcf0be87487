"""Writes small texts as the programs of spectrometers lay them out."""

import numpy as np

SPE_EDGES = np.array([-1.0, 1.0, 3.0, 5.0])
POLAR = np.array([10.0, 10.0, 40.0, 80.0])


def spe(intensity, sigma, edges=SPE_EDGES):
    """The text of a .spe: fields of ten characters, eight a line, that touch where numbers are long."""

    def block(title, values):
        cells = [f"{x:10.3G}"[:10] if x != -1e30 else "-0.100E+31" for x in values]
        return [f"### {title}", *("".join(cells[i : i + 8]) for i in range(0, len(cells), 8))]

    n, w = intensity.shape
    lines = [f"{n:5d}{w:5d}", *block("Phi Grid", range(n + 1)), *block("Energy Grid", edges)]
    for I, s in zip(intensity, sigma, strict=True):
        lines += [*block("S(Phi,w)", I), *block("Errors", s)]
    return "\n".join(lines) + "\n"


def par(polar=POLAR):
    """The text of a .par: number of detectors, then distance, 2θ, azimuth, width, height and number of each."""
    return "\n".join([str(len(polar)), *(f"4.0 {p:.2f} 0.0 0.1 0.1 {n}" for n, p in enumerate(polar, start=1))]) + "\n"
