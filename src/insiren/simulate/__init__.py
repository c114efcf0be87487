"""What a magnet would scatter, exactly: linear spin wave theory."""
