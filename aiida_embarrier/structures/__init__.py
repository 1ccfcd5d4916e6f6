"""Crystals: hops of an ion, supercells, endpoints, symmetry."""
