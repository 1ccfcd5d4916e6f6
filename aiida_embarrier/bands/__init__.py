"""One migration path as plain data: the band, its endpoints, its interpolation and the definitions of its barrier."""

from aiida_embarrier.bands.band import Band, BandInfo, Kind

__all__ = ('Band', 'BandInfo', 'Kind')
