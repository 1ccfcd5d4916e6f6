"""`embarrier-worker`, the one executable that a compute node needs: job file in, result files out."""
