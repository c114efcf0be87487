"""What the spectrometer makes of it: resolution, and the exact Forward."""
