"""The band node: everything comes back, and what people query is an attribute."""

import numpy as np
import pytest
from aiida.orm import QueryBuilder, load_node
from systems import computed_band, straight_band

from aiida_embarrier.bands.band import Band
from aiida_embarrier.data.band import BandData


@pytest.mark.usefixtures('aiida_profile')
def test_round_trip():
    band = computed_band()
    node = load_node(BandData(band).store().pk)
    again = node.band
    assert isinstance(again, Band)
    assert (again.kinds, again.mobile, again.info) == (band.kinds, band.mobile, band.info)
    for name in ('positions', 'lattice', 'kind_indices', 'energies', 'forces', 'max_perpendicular_forces'):
        np.testing.assert_array_equal(getattr(again, name), getattr(band, name))


@pytest.mark.usefixtures('aiida_profile')
def test_attributes_of_a_computed_band():
    attributes = BandData(computed_band(charge=0.0)).store().base.attributes.all
    assert attributes['barrier_forward'] == pytest.approx(0.6)
    assert attributes['barrier_reverse'] == pytest.approx(0.5)
    assert attributes['barrier_span'] == pytest.approx(0.6)
    assert attributes['mobile_ion'] == 'Al'
    assert attributes['n_images'] == 5
    assert attributes['hop_length'] == pytest.approx(4.05 / np.sqrt(2))
    assert attributes['periodic_image_distance'] == pytest.approx(8.1)
    assert attributes['functional'] is None
    assert attributes['potential'] == 'emt'


@pytest.mark.usefixtures('aiida_profile')
def test_starting_band_has_no_barriers():
    attributes = BandData(straight_band()).store().base.attributes.all
    assert attributes['barrier_forward'] is None
    assert attributes['converged'] is None


@pytest.mark.usefixtures('aiida_profile_clean')
def test_query_by_field():
    low, high = BandData(computed_band()).store(), BandData(computed_band().replace(energies=[0, 1, 2, 1, 0])).store()
    query = QueryBuilder().append(BandData, filters=BandData.fields.barrier_forward < 1.0)
    assert query.all(flat=True) == [low]
    assert high.base.attributes.get('barrier_forward') == 2.0


@pytest.mark.usefixtures('aiida_profile')
def test_same_band_same_hash():
    assert BandData(computed_band()).store().base.caching.get_hash() == (
        BandData(computed_band()).store().base.caching.get_hash()
    )
