"""What was measured: spectra with errors and masks, read, checked and simulated."""
