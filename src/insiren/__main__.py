"""`python -m insiren`."""

from insiren.cli import main

main()
