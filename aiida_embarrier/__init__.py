"""Migration barriers of battery materials with AiiDA, from the crystal to the archive that goes with the paper."""

__version__ = '0.1.0'
