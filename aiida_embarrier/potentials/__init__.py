"""The interatomic-potential engine: energies and forces of many structures, relaxation, nudged elastic band."""
