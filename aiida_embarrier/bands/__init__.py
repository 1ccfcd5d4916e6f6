"""One migration path as plain data: the band, its endpoints, its interpolation and the definitions of its barrier."""
