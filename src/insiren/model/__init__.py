"""What is in the crystal: lattice, spins, couplings, magnetic structure."""
