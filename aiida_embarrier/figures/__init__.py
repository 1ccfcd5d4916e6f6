"""Every picture, as a matplotlib Figure (never pyplot)."""
