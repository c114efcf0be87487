"""Which Hamiltonian: likelihoods, the search, and the answer with its errors."""
