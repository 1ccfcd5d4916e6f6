"""From a protocol to the inputs of work chains, and what would be computed, before anything runs."""

import subprocess
import sys

import pytest
from aiida.orm import InstalledCode
from aiida.plugins import WorkflowFactory
from pymatgen.core import Lattice, Structure

from aiida_embarrier.engines.base import get_engine
from aiida_embarrier.engines.quantumespresso.inputs import inputs_from_protocol, resolve

ENGINE = get_engine('quantumespresso')


@pytest.fixture
def codes(aiida_localhost):
    return {
        name: InstalledCode(label=name, computer=aiida_localhost, filepath_executable='/bin/true').store()
        for name in ENGINE.codes
    }


@pytest.fixture
def rock_salt():
    """Return MnO with opposite spins."""
    structure = Structure(
        Lattice.cubic(4.4), ['Mn', 'Mn', 'O', 'O'], [[0, 0, 0], [0.5, 0.5, 0], [0.5] * 3, [0, 0, 0.5]]
    )
    structure.add_site_property('magmom', [5.0, -5.0, 0.0, 0.0])
    return structure


def test_inputs_fill_both_work_chains(families, protocol, codes):
    inputs = ENGINE.inputs_from_protocol(protocol(), codes, options={'max_wallclock_seconds': 60})
    for kind, name in (('relax', ENGINE.relax), ('neb', ENGINE.neb)):
        ports = WorkflowFactory(name).spec().inputs
        for key, value in inputs[kind].items():
            assert ports[key].validate(value) is None
    assert inputs['relax']['code'].label == 'pw'
    assert (inputs['neb']['code'].label, inputs['neb']['pw_code'].label) == ('neb', 'pw')


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'pseudo_family': None}, 'aiida-pseudo install sssp -v 1.3 -x PBE -p efficiency'),
        ({'smearing': 'none'}, 'smearing'),
    ],
)
def test_early_refusals(families, protocol, codes, overrides, message):
    with pytest.raises(ValueError, match=message):
        inputs_from_protocol(protocol(**overrides), code=codes)


def test_settings_and_options_are_checked_at_launch(families, protocol):
    from aiida.orm import Dict

    port = WorkflowFactory(ENGINE.neb).spec().inputs['settings']
    assert port.validate(Dict(protocol())) is None
    assert "did you mean 'mixing_beta'" in port.validate(Dict({**protocol(), 'mixing_bet': 1})).message
    options = WorkflowFactory(ENGINE.neb).spec().inputs['options']
    assert options.validate(Dict({'queue_name': 'x', 'resources': {'num_machines': 2}})) is None
    assert "did you mean 'account'" in options.validate(Dict({'acount': 'x'})).message


def test_resolution_needs_no_profile(rock_salt):
    """Nor aiida-quantumespresso: in a process of its own, without any."""
    script = (
        'import sys, json\n'
        'from pymatgen.core import Structure\n'
        'from aiida_embarrier.engines.base import get_engine\n'
        'engine = get_engine("quantumespresso")\n'
        'structure = Structure.from_str(sys.stdin.read(), "json")\n'
        'protocol = engine.resolve_protocol("fast", {"functional": "pbe+u"})\n'
        'print(json.dumps(engine.load(engine.resolve)(structure, protocol, charge=-1.0, n_images=5)))\n'
        'assert not [name for name in sys.modules if name.split(".")[0] in ("aiida_quantumespresso", "aiida_pseudo")]\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script], input=rock_salt.to_json(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"num_of_images": 5' in done.stdout


def test_resolution(protocol, rock_salt):
    found = resolve(rock_salt, protocol(functional='pbe+u'), charge=-1.0, n_images=5)
    assert found['relax']['SYSTEM']['tot_charge'] == 0.0
    assert found['neb']['SYSTEM']['tot_charge'] == -1.0
    assert found['neb']['SYSTEM']['starting_magnetization']['Mn2'] == '-5 Bohr magnetons over Z valence'
    assert found['neb']['HUBBARD'] == {'projectors': 'ortho-atomic', 'lines': ['U Mn1-3d 3.9', 'U Mn2-3d 3.9']}
    assert 'MPRelaxSet' in found['neb']['hubbard_u_from']['Mn']
    assert found['relax']['CONTROL']['calculation'] == 'vc-relax'
    assert found['neb']['PATH']['num_of_images'] == 5
    older = resolve(rock_salt, protocol(functional='pbe+u', hubbard_card=False))
    assert 'HUBBARD' not in older['neb']
    assert older['neb']['SYSTEM']['hubbard_u'] == {'Mn1': 3.9, 'Mn2': 3.9}


def test_u_of_kinds_that_the_functional_does_not_have(protocol, rock_salt):
    rock_salt.add_site_property('hubbard_u', [4.0, 4.0, None, None])
    found = resolve(rock_salt, protocol())
    assert found['neb']['hubbard_u_ignored'] == {'Mn1': 4.0, 'Mn2': 4.0}
    assert 'HUBBARD' not in found['neb']
    with_u = resolve(rock_salt, protocol(functional='pbe+u'))['neb']
    assert 'hubbard_u_ignored' not in with_u
    assert with_u['HUBBARD']['lines'] == ['U Mn1-3d 4', 'U Mn2-3d 4']


def test_listing_engines_imports_no_plugin():
    script = (
        'import sys\n'
        'from aiida_embarrier.engines.base import available_engines, get_engine\n'
        'print([get_engine(name).functionals for name in available_engines()])\n'
        'assert not [name for name in sys.modules if name.split(".")[0] in ("aiida_quantumespresso", "aiida_pseudo")]\n'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
