"""Engine-independent work chains."""
