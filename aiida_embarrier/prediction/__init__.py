"""Models that predict migration barriers from a path, their baselines, and how sure they are."""
