"""What it would scatter, fast: a sinusoidal neural representation of S(Q, ω, parameters)."""
