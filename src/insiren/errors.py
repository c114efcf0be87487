"""What can go wrong, drawn as a tree.

InsirenError                    the user can mend it: exit status 2 and one message
├── ModelError                  a model file, a bundled name, a parameter or an expression
│   └── UnstableStructure       the spins are not at an energy minimum
├── DataError                   a measurement that cannot be read or used
├── SurrogateError              a surrogate file that is damaged, or asked for what it never learnt
│   └── OutsideDomain           a query beyond the box, the zone or the stable phase
└── FitError                    a fit that cannot start or has no answer
"""


class InsirenError(Exception):
    """Any error that the user can mend; its text says what is wrong, why, and what to do."""


class ModelError(InsirenError):
    """A model file, a bundled name, a parameter or an expression is not usable."""


class UnstableStructure(ModelError):
    """The magnetic structure is not a minimum of the energy, so it has no magnons."""


class DataError(InsirenError):
    """A measurement cannot be read, or holds nothing that could be used."""


class SurrogateError(InsirenError):
    """A surrogate file is damaged, or does not offer what was asked for."""


class OutsideDomain(SurrogateError):
    """A surrogate was asked beyond what it learnt."""


class FitError(InsirenError):
    """A fit cannot start, or has no answer."""
