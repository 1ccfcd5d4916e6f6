"""Node types, and the one door between nodes and plain objects (`convert`)."""
