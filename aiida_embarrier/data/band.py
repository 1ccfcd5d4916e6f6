"""`BandData`: a migration path as a node, with what people query as attributes."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import ArrayData

from aiida_embarrier.bands.band import Band, BandInfo, Kind
from aiida_embarrier.bands.barriers import barriers
from aiida_embarrier.data.fields import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('BandData', 'band_from')

_ARRAYS = ('positions', 'lattice', 'kind_indices', 'energies', 'max_perpendicular_forces', 'forces', 'moments')


class BandData(ArrayData):
    """A migration path: species once, images as arrays, and barriers and their origin as attributes.

    Every attribute below can be filtered on in a query, for instance
    ``QueryBuilder().append(BandData, filters={'attributes.barrier_forward': {'<': 0.3}})``; an attribute is None where
    it is not known. Energies are in eV, lengths in Å, forces in eV/Å.

    :param band: the path.
    """

    class AttributesModel(ArrayData.AttributesModel):
        """The attributes that can be queried."""

        formula: str | None = attribute('Reduced formula of an image')
        host: str | None = attribute('Reduced formula of the host crystal')
        mobile_ion: str | None = attribute('Element of the migrating ion')
        mechanism: str | None = attribute('vacancy, interstitial or any')
        n_images: int | None = attribute('Number of images, the endpoints included')
        n_atoms: int | None = attribute('Number of atoms of an image')
        hop_length: float | None = attribute('Distance between the ends of the path of the ion in Å')
        periodic_image_distance: float | None = attribute('Smallest distance between periodic images of the ion in Å')
        engine: str | None = attribute('Engine that computed the energies')
        functional: str | None = attribute('Density functional, None for interatomic potentials')
        potential: str | None = attribute('Interatomic potential and its model')
        potential_functional: str | None = attribute('Functional of the data that the potential was trained on')
        charge: float | None = attribute('Charge of the cell in units of e')
        climbing: bool | None = attribute('Whether the highest image climbed')
        converged: bool | None = attribute('Whether the band met its convergence criteria')
        residual_force: float | None = attribute('Largest force by the definition of convergence in eV/Å')
        host_treatment: str | None = attribute('What of the host was relaxed: none, positions or cell')
        equivalent_endpoints: bool | None = attribute('Whether symmetry of the host maps one endpoint to the other')
        barrier_forward: float | None = attribute('Highest energy minus that of the first image in eV')
        barrier_reverse: float | None = attribute('Highest energy minus that of the last image in eV')
        barrier_rate_limiting: float | None = attribute('Largest rise along the path in eV')
        barrier_span: float | None = attribute('Highest minus lowest energy in eV')

    def __init__(self, band: Band | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if band is not None:
            self._set_band(band)

    def _set_band(self, band: Band) -> None:
        for name in _ARRAYS:
            array = getattr(band, name)
            if array is not None:
                self.set_array(name, np.array(array))
        heights: dict[str, float | None] = dict.fromkeys(('forward', 'reverse', 'rate_limiting', 'span'))
        if np.all(np.isfinite(band.energies)):
            found = barriers(band.energies, band.info.equivalent_endpoints)
            heights = {name: getattr(found, name) for name in heights}
        attributes = {
            'kinds': [asdict(kind) for kind in band.kinds],
            'mobile': list(band.mobile),
            'formula': band.formula,
            'mobile_ion': band.mobile_ion,
            'n_images': band.n_images,
            'n_atoms': band.n_atoms,
            'hop_length': band.hop_length,
            'periodic_image_distance': band.periodic_image_distance,
            **band.info.to_dict(),
            **{f'barrier_{name}': height for name, height in heights.items()},
        }
        self.base.attributes.set_many({key: _plain(value) for key, value in attributes.items()})

    @property
    def is_computed(self) -> bool:
        """Whether the energies of all images are known; a job that fails at once hands back the band it was given."""
        return self.base.attributes.get('barrier_forward') is not None

    @property
    def band(self) -> Band:
        """The path as a plain object."""
        return band_from(self.base.attributes.all, {name: self.get_array(name) for name in self.get_arraynames()})


def band_from(attributes: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Band:
    """Return the band that the attributes and the arrays of a node make."""
    return Band(
        kinds=tuple(Kind(**kind) for kind in attributes['kinds']),
        mobile=tuple(attributes['mobile']),
        info=BandInfo(**{name: attributes.get(name) for name in BandInfo().to_dict()}),
        **{name: arrays[name] for name in _ARRAYS if name in arrays},
    )


def _plain(value: Any) -> Any:
    """Return a value that can be stored as an attribute: plain Python, None instead of numbers that are not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
