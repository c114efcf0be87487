"""insiren: spin Hamiltonians from measured excitation spectra."""

__version__ = "0.1.0"
