"""Published datasets as tables of one schema: one module for each format, told by content."""

from aiida_embarrier.datasets.importing.base import DatasetError, ImportedDataset, Target
from aiida_embarrier.datasets.importing.reading import FORMATS, published_splits, read_dataset

__all__ = ('FORMATS', 'DatasetError', 'ImportedDataset', 'Target', 'published_splits', 'read_dataset')
