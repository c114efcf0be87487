"""While it arrives: files folded into a measurement, fits of all counts so far, and whether to stop."""
