"""What is refused before anything is launched, and what needs a profile to be known."""

import sys

import pytest
from emulators.vasp.setup import upload_family
from pymatgen.core import Structure
from systems import aluminium

from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.vasp.potcars import cutoff_warning, find_potcars
from aiida_embarrier.engines.vasp.settings import check_protocol


@pytest.fixture
def inputs(working_vasp, vasp_potcars):
    """Return a function that fills the inputs of the chains."""

    def fill(options=None, **overrides):
        engine = get_engine('vasp')
        settings = engine.resolve_protocol(None, {'paw': {'family': vasp_potcars}, **overrides})
        return engine.inputs_from_protocol(settings, working_vasp, options=options)

    return fill


def check(given, structure, **what):
    engine = get_engine('vasp')
    return engine.load(engine.check)(given, structure, **what)


def test_inputs(inputs):
    filled = inputs({'resources': {'num_machines': 2}}, functional='scan')
    for kind in ('relax', 'neb'):
        assert set(filled[kind]) == {'code', 'protocol', 'max_iterations', 'options'}
        assert filled[kind]['protocol']['functional'] == 'scan'
        assert filled[kind]['max_iterations'].value == 20


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'paw': {'family': 'PBE.54'}}, 'no POTCAR family .PBE.54. .*aiida-vasp potcar uploadfamily --path FOLDER'),
        ({'neb': {'build': 'stock'}}, 'stock VASP has no climbing image'),
        ({'encut': -5}, 'protocol key `encut`: input should be greater than 0, got -5'),
        ({'ediff': '1e-6'}, "protocol key `ediff`: input should be a valid number, got '1e-6'"),
        ({'neb': {'force_threshold': 0}}, 'protocol key `neb.force_threshold`: input should be greater than 0, got 0'),
        ({'neb': {'climb': 'no'}}, "protocol key `neb.climb`: input should be a valid boolean, got 'no'"),
        ({'kmesh': [1, 1]}, r'protocol key `kmesh`: give three whole numbers of at least 1, got \[1, 1\]'),
        ({'kmesh': [1, 1, 0]}, 'protocol key `kmesh`: give three whole numbers of at least 1'),
        ({'nelm': -3}, 'protocol key `nelm`: input should be greater than or equal to 1, got -3'),
        ({'ismear': 'cold'}, "protocol key `ismear`: input should be a valid integer, got 'cold'"),
        ({'ismear': -3}, 'protocol key `ismear`: take one of -15, -14, -5, -4, -1, 0, 1, 2, ..., got -3'),
        ({'lreal': 'no'}, "protocol key `lreal`: input should be 'Auto', .*, got 'no'"),
        ({'prec': 'Acurate'}, "protocol key `prec`: input should be 'Low', .* or 'Accurate', got 'Acurate'"),
        ({'moments': {'Xx': 3}}, "protocol key `moments`: 'Xx' is no element"),
        ({'moments': {'Mn': [3, -3]}}, r'protocol key `moments.Mn`: input should be a valid number, got \[3, -3\]'),
        ({'moments': [3]}, r'protocol key `moments`: input should be a valid dictionary, got \[3\]'),
        ({'relax': {'optimiser': 'damp'}}, "`relax.optimiser`: unknown optimiser 'damp': did you mean 'damped'"),
        ({'parallel': {'ncore': 0}}, 'protocol key `parallel.ncore`: input should be greater than or equal to 1'),
        ({'paw': {'mapping': {'Fe': 1}}}, 'protocol key `paw.mapping.Fe`: input should be a valid string, got 1'),
        ({'incar': {'ISPIN': 1}}, 'incar: the tag ISPIN is set by spin, not here'),
        ({'incar': {'nelmim': 6}}, 'incar: VASP has no tag NELMIM: did you mean NELMIN'),
        ({'incar': {'NELMIN': None}}, 'incar: the tag NELMIN takes a number, .* not None'),
        ({'vdw_kernel': 'b1946ac9-2492-4d23-47d5-3b5c5a1f2a3e'}, 'protocol key `vdw_kernel`: there is no node'),
        ({'hubbard_u': {'Mn': 3}}, 'has no Hubbard U, but values are given for Mn: use pbe.u'),
    ],
)
def test_wrong_protocols(inputs, overrides, message):
    with pytest.raises(ValueError, match=message):
        inputs(**overrides)


def test_usual_protocols_and_tags_pass(inputs):
    for name in ('fast', 'balanced', 'stringent'):
        check_protocol(get_engine('vasp').resolve_protocol(name))
    overrides = {
        'lreal': False,
        'kmesh': [1, 1, 1],
        'ismear': -5,
        'moments': {'Co': 3},
        'neb': {'climb_threshold': None},
        'incar': {'nelmin': 6, 'TIME': 0.2, 'ALGO': 'Damped', 'LDNEB': True, 'NCORE_IN_IMAGE1': 2, 'IDIPOL': 3},
    }
    assert inputs(**overrides)['neb']['protocol']['incar']['TIME'] == 0.2


def test_check_before_the_launch(inputs):
    assert check(inputs(), aluminium((1, 1, 1))) is None
    iron = Structure([[3, 0, 0], [0, 3, 0], [0, 0, 3]], ['Fe'], [[0, 0, 0]])
    assert 'has no potential Fe_pv of Fe: it has none of Fe at all: add it with `aiida-vasp' in check(inputs(), iron)
    odd = check(inputs(spin='none'), aluminium((1, 1, 1)), charge=-1)
    assert 'odd number of electrons, 13' in odd
    ranks = {'withmpi': True, 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 8}}
    assert '8 MPI ranks cannot be shared by the 5 interior images' in check(inputs(ranks), aluminium((1, 1, 1)))
    assert check(inputs(ranks), aluminium((1, 1, 1)), n_images=6) is None


def test_potentials(vasp_potcars):
    found = find_potcars(vasp_potcars, {'Mg': 'Mg'}, ['Mn', 'Mg', 'Mn'])
    assert {element: node.full_name for element, node in found.items()} == {'Mn': 'Mn_pv', 'Mg': 'Mg'}
    with pytest.raises(ValueError, match='no potential Mn_h of Mn: choose one of Mn, Mn_pv, Mn_sv with'):
        find_potcars(vasp_potcars, {'Mn': 'Mn_h'}, ['Mn'])


def test_a_cutoff_below_that_of_a_potential(vasp_potcars):
    potcars = find_potcars(vasp_potcars, {}, ['Mn', 'O'])
    assert cutoff_warning(400, potcars) is None
    # the invented Mn_pv asks for 270 eV, O for 280 eV
    assert 'below the 280 eV (ENMAX) that the potential O asks for' in cutoff_warning(250, potcars)


def test_potentials_made_for_another_functional(inputs, tmp_path):
    aluminium_cell = aluminium((1, 1, 1))
    message = check(inputs(functional='lda'), aluminium_cell)
    assert 'potential Al of Al was made for a GGA (LEXCH = PE)' in message
    assert "the functional 'lda' needs one for the LDA" in message
    local = upload_family(tmp_path, ['Al'], family='made-up-lda', exchange='CA')
    assert check(inputs(functional='lda', paw={'family': local}), aluminium_cell) is None
    for functional in ('pbe', 'scan', 'pbesol'):
        message = check(inputs(functional=functional, paw={'family': local}), aluminium_cell)
        assert f"made for the LDA (LEXCH = CA), but the functional '{functional}' needs one for a GGA" in message
        assert check(inputs(functional=functional), aluminium_cell) is None


def test_doctor_is_told_of_families(vasp_potcars):
    engine = get_engine('vasp')
    ((what, found, remedy),) = engine.load(engine.examine)()
    assert what == 'POTCAR families'
    assert vasp_potcars in found
    assert 'uploadfamily' in remedy


def test_without_the_plugin(inputs, monkeypatch):
    monkeypatch.setitem(sys.modules, 'aiida_vasp.data.potcar', None)
    with pytest.raises(ValueError, match=r"needs aiida-vasp: pip install 'aiida-embarrier\[vasp\]'"):
        inputs()
