"""Volumes by lattice scaling: the numbers are those of pymatgen's predictor, and what they rest on is said."""

import gzip
import json
import warnings

import pytest
from pymatgen.analysis.structure_prediction.volume_predictor import RLSVolumePredictor
from pymatgen.core import Lattice, Structure

from aiida_embarrier.structures.substitution import substitute
from aiida_embarrier.structures.supercells import Supercell
from aiida_embarrier.structures.volumes import scale_volume


def cubic(first, second, a=1.0, states=None):
    """Return a crystal of the CsCl type."""
    species = [first, second] if states is None else [f'{first}{states[0]}', f'{second}{states[1]}']
    return Structure(Lattice.cubic(a), species, [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture
def caesium_chloride():
    return Structure.from_spacegroup('Pm-3m', Lattice.cubic(5), ['Cs', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5]])


def quietly(derived, parent, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return RLSVolumePredictor(**settings).predict(derived, parent)


@pytest.mark.parametrize(('radii', 'volume'), [('ionic', 342.84905395082535), ('atomic', 391.884366481)])
def test_numbers_of_pymatgens_own_tests(caesium_chloride, radii, volume):
    parent = caesium_chloride.copy()
    parent.replace_species({'Cs': 'Na'})
    parent.scale_lattice(184.384551033)
    assert scale_volume(caesium_chloride, parent, radii=radii).volume == pytest.approx(volume, rel=1e-9)


@pytest.mark.parametrize('new', ['Na', 'Mg', 'K', 'Ca', 'Cs', 'Al'])
@pytest.mark.parametrize('radii', ['ionic-atomic', 'atomic'])
def test_equals_pymatgen(olivine, new, radii):
    derived = substitute(olivine, {'Li': new}).structure
    predicted = scale_volume(derived, olivine, radii=radii)
    assert predicted.volume == pytest.approx(quietly(derived, olivine, radii_type=radii), rel=1e-12)
    assert predicted.structure.volume == pytest.approx(predicted.volume)
    assert predicted.ratio == pytest.approx(predicted.volume / olivine.volume)
    # the number follows from the radii that are reported
    sums = []
    for structure, table in ((derived, predicted.radii_derived), (olivine, predicted.radii_parent)):
        counts = structure.composition.get_el_amt_dict()
        if len(table) > len(counts):  # an element in two states: two species
            return
        sums.append(sum(radius * counts[name.rstrip('+-0123456789')] ** (1 / 3) for name, radius in table.items()))
    assert predicted.volume == pytest.approx(olivine.volume * (sums[0] / sums[1]) ** 3)


def test_which_radii_were_used_is_said(olivine):
    sodium = scale_volume(substitute(olivine, {'Li': 'Na'}).structure, olivine)
    assert (sodium.radii_used, sodium.fell_back, sodium.warnings) == ('ionic', False, ())
    assert sodium.oxidation_states == ('bond valence', 'bond valence')
    assert sodium.radii_derived == {'Na+': 1.16, 'Fe2+': 0.92, 'P5+': 0.52, 'O2-': 1.26}
    assert sodium.radii_parent['Li+'] == 0.9
    # in a cell made for Li, bond valences take K for something else than K+
    potassium = scale_volume(substitute(olivine, {'Li': 'K'}).structure, olivine)
    assert (potassium.radii_used, potassium.fell_back) == ('atomic', True)
    assert 'no ionic radius of' in potassium.warnings[0]
    assert 'atomic radii are used' in potassium.warnings[0]
    # it also takes some oxygen for O-, and the sum over species counts that apart
    assert potassium.radii_derived == {'K+': 2.2, 'Fe2+': 1.4, 'P4+': 1.0, 'O2-': 0.6, 'O-': 0.6}
    assert 'O stands for several species' in potassium.warnings[1]
    plain = scale_volume(substitute(olivine, {'Li': 'K'}).structure, olivine, radii='atomic')
    assert f'{plain.volume:.1f} Å³' in potassium.warnings[1]
    guessed = scale_volume(substitute(olivine, {'Li': 'K'}, guess=True).structure, olivine)
    assert (guessed.radii_used, guessed.fell_back) == ('ionic', False)
    assert guessed.oxidation_states == ('given', 'bond valence')
    assert guessed.radii_derived['K+'] == 1.52
    assert guessed.volume < 0.8 * potassium.volume


def test_ionic_alone_is_refused_where_there_are_no_ionic_radii(olivine):
    with pytest.raises(ValueError, match=r'no ionic radius of .*: allow atomic radii with ionic-atomic'):
        scale_volume(substitute(olivine, {'Li': 'K'}).structure, olivine, radii='ionic')
    with pytest.raises(ValueError, match="unknown radii 'covalent': choose from ionic-atomic"):
        scale_volume(olivine, olivine, radii='covalent')


def test_a_cell_of_twice_the_size_has_twice_the_volume(olivine):
    derived = substitute(olivine, {'Li': 'Na'}).structure
    once = scale_volume(derived, olivine)
    twice = scale_volume(Supercell(derived, [1, 2, 1]).structure, olivine)
    assert twice.volume == pytest.approx(2 * once.volume, rel=1e-9)
    assert twice.ratio == pytest.approx(once.ratio, rel=1e-9)
    from_larger = scale_volume(derived, Supercell(olivine, [1, 1, 2]).structure)
    assert from_larger.volume == pytest.approx(once.volume, rel=1e-9)


def test_pairs_that_are_not_isostructural_are_refused(layered, olivine, caesium_chloride):
    with pytest.raises(ValueError, match=r'different contents: .*1:1:2 and 1:1:1:4.*--any-structure'):
        scale_volume(layered, olivine)
    rock_salt = Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.64), ['Na', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(ValueError, match='NaCl and CsCl are not isostructural'):
        scale_volume(rock_salt, caesium_chloride)
    allowed = scale_volume(rock_salt, caesium_chloride, require_isostructural=False)
    assert 'may be far off' in allowed.warnings[0]
    assert allowed.volume == pytest.approx(quietly(rock_salt, caesium_chloride, check_isostructural=False))


def test_isostructural_crystals_with_other_cells_and_elements():
    sodium = Structure.from_spacegroup('Fm-3m', Lattice.cubic(5.64), ['Na', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    potassium = Structure.from_spacegroup('Fm-3m', Lattice.cubic(6.29), ['Br', 'K'], [[0, 0, 0], [0.5, 0.5, 0.5]])
    predicted = scale_volume(sodium.get_primitive_structure(), potassium)
    assert not predicted.warnings
    assert predicted.volume == pytest.approx(quietly(sodium.get_primitive_structure(), potassium))
    assert predicted.volume == pytest.approx(sodium.volume / 4, rel=0.2)


def test_doubtful_oxidation_states_are_named():
    parent = cubic('Cs', 'Cl', 4.1, ('+', '-'))
    derived = cubic('K', 'Cl', 4.1, ('2+', '2-'))
    derived = Structure(derived.lattice, ['Mg2+', 'Cl2-'], derived.frac_coords)
    notes = scale_volume(derived, parent, radii='ionic-atomic').warnings
    assert any('no ionic radius of Cl2-' in note for note in notes)
    charged = Structure(parent.lattice, ['Mg2+', 'Cl-'], parent.frac_coords)
    notes = scale_volume(charged, parent).warnings
    assert any('add up to +1' in note for note in notes)


def test_mixed_valence_in_one_crystal_only_is_said():
    sites = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5], [0.75, 0.75, 0.5], [0.2, 0.7, 0.5]]
    parent = Structure(Lattice.cubic(6), ['Na+', 'Ti3+', 'Ti4+', *['O2-'] * 4], sites)
    derived = Structure(Lattice.cubic(6), ['Mg2+', 'Ti3+', 'Ti3+', *['O2-'] * 4], sites)
    predicted = scale_volume(derived, parent)
    assert predicted.radii_used == 'ionic'
    assert 'Ti has several oxidation states in one of the crystals only' in predicted.warnings[0]


def test_elements_without_any_radius_are_refused():
    with pytest.raises(ValueError, match='no radius of He is known'):
        scale_volume(cubic('He', 'Cl', 4.1), cubic('Cs', 'Cl', 4.1))


def test_published_pairs_equal_pymatgen(shared_data):
    """Ten pairs of the literature, ions exchanged in one host."""
    with gzip.open(shared_data / 'barriers_train' / 'barriers_train.json.gz') as handle:
        rows = {row['sys_name']: row for row in json.load(handle)}
    pairs = [
        ('LiSc2Se4', 'Na'), ('LiSc2Se4', 'Mg'), ('LiSc2S4', 'Ca'), ('LiSc2S4', 'K'), ('MgCr2O4', 'Ca'),
        ('LiNi2O4', 'Mg'), ('Li3SI', 'Na'), ('Li3SeCl', 'Na'), ('MgIn2S4', 'Zn'), ('d-V2O5_Li', 'Ca'),
    ]  # fmt: skip
    for name, new in pairs:
        row = rows[name]
        species = [row['mobile_species'], *row['species']]
        parent = Structure(row['lattice'], species, [row['path_frac'][0], *row['frac_coords']])
        derived = substitute(parent, {row['mobile_species']: new}).structure
        predicted = scale_volume(derived, parent)
        assert predicted.volume == pytest.approx(quietly(derived, parent, check_isostructural=False), rel=1e-12), name


def test_states_that_are_not_whole_have_no_radius_of_their_own():
    # the 3.5 of manganese in LiMn2O4, which pymatgen cuts to 3
    lattice = Lattice.cubic(8.24)
    places = [[0, 0, 0], [0.625, 0.625, 0.625], [0.3875, 0.3875, 0.3875]]
    spinel = Structure.from_spacegroup('Fd-3m', lattice, ['Li', 'Mn', 'O'], places)
    derived = substitute(spinel, {'Li': 'Mg'}, oxidation_states={'Li': 1, 'Mn': 3.5, 'O': -2}).structure
    states = {'Li': 1, 'Mn': 3.5, 'O': -2}
    spinel.add_site_property('oxidation_state', [states[site.specie.symbol] for site in spinel])
    predicted = scale_volume(derived, spinel)
    assert predicted.radii_parent['Mn3.50+'] == predicted.radii_derived['Mn3+']
    assert [note[:67] for note in predicted.warnings] == [
        'no ionic radius of Mn3.50+ is known: pymatgen takes that of Mn3+, w'
    ]
