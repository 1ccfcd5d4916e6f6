"""Where crystals are looked up: folders, the Materials Project, OPTIMADE databases."""
