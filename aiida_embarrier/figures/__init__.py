"""Every picture, as a matplotlib Figure (never pyplot)."""

from aiida_embarrier.figures.energy_path import energy_path
from aiida_embarrier.figures.migration_path import migration_path, viewing_direction
from aiida_embarrier.figures.style import save

__all__ = ('energy_path', 'migration_path', 'save', 'viewing_direction')
