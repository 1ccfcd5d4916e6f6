"""Evaluators: the models, the pool of processes, batches, and what goes wrong in them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from potential_systems import emt, surface
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_embarrier.jobs.potentials import resolve_potential
from aiida_embarrier.potentials.evaluator import (
    BatchEvaluator,
    Evaluation,
    EvaluationError,
    NonFiniteError,
    PotentialError,
)
from aiida_embarrier.potentials.loading import load_model, open_evaluator, verify_potential
from aiida_embarrier.potentials.pool import PoolEvaluator


@pytest.fixture(scope='module')
def pool():
    with PoolEvaluator(emt(), 2) as evaluator:
        yield evaluator


def crystals():
    structures = [bulk(name, cubic=True) * (n, 1, 1) for name, n in (('Cu', 1), ('Au', 2), ('Al', 1), ('Pt', 3))]
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=seed)
    return structures


def test_pool_gives_what_one_process_gives(pool):
    structures = crystals()
    for stress in (False, True):
        expected = load_model(emt(), 'cpu').evaluate(structures, stress=stress)
        for outcome, reference in zip(pool.evaluate(structures, stress=stress), expected, strict=True):
            assert outcome.energy == reference.energy
            np.testing.assert_array_equal(outcome.forces, reference.forces)
            assert (outcome.stress is None) is (not stress)
            if stress:
                np.testing.assert_array_equal(outcome.stress, reference.stress)


def test_stress_is_the_derivative_of_the_energy(pool):
    atoms = crystals()[1]
    strain = np.array([[0.3, 0.1, -0.2], [0.1, -0.4, 0.25], [-0.2, 0.25, 0.15]])
    step, energies = 1e-4, []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * step * strain), scale_atoms=True)
        energies.append(pool.evaluate([strained])[0].energy)
    stress = pool.evaluate([atoms], stress=True)[0].stress
    expected = np.sum(stress * strain) * atoms.get_volume()
    assert (energies[0] - energies[1]) / (2 * step) == pytest.approx(expected, rel=1e-5)


def test_one_refused_structure_does_not_spoil_the_others(pool):
    structures = [*crystals()[:2], bulk('Li'), crystals()[2]]
    outcomes = pool.evaluate(structures)
    assert isinstance(outcomes[2], EvaluationError)
    assert 'refused structure 2' in str(outcomes[2])
    assert [isinstance(outcome, Evaluation) for outcome in outcomes] == [True, True, False, True]


def test_not_a_number_is_named():
    outcome = load_model(surface('Broken'), 'cpu').evaluate([bulk('Li')])[0]
    assert isinstance(outcome, NonFiniteError)
    assert 'energy' in str(outcome)


def test_chgnet_leaves_subnormal_numbers_to_others():
    # it takes them for zero while it computes; other code of the process counts on them
    model = load_model(resolve_potential('chgnet'), 'cpu')
    assert isinstance(model.evaluate([bulk('NaCl', 'rocksalt', 5.6)])[0], Evaluation)
    assert sys.float_info.min / 2 > 0


def test_processes_have_one_thread_each():
    before = os.environ.get('OMP_NUM_THREADS')
    with PoolEvaluator(surface('Environment'), 2) as evaluator:
        outcome = evaluator.evaluate([bulk('Li')])[0]
    assert outcome.energy != os.getpid()
    assert outcome.forces[0, 0] == 1
    assert os.environ.get('OMP_NUM_THREADS') == before


def test_process_that_dies_is_an_error_and_no_hang():
    with PoolEvaluator(surface('Deadly'), 2) as evaluator, pytest.raises(PotentialError, match='want of memory'):
        evaluator.evaluate(crystals())


@pytest.mark.parametrize(
    ('calculator', 'message'),
    [
        ('no_such_package:Calculator', 'cannot be imported'),
        ('analytic_surfaces:NoSuchClass', 'cannot be imported'),
        ('analytic_surfaces:fails', 'no licence'),
        ('os:getcwd', 'is not an ASE calculator'),
    ],
)
def test_calculator_that_cannot_be_made(calculator, message):
    spec = resolve_potential('ase', calculator=calculator, distribution=None)
    with pytest.raises(PotentialError, match=message):
        load_model(spec, 'cpu')
    with pytest.raises(PotentialError, match=message):
        PoolEvaluator(spec, 1)


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(
        'import sys, time\n'
        'from potential_systems import surface\n'
        'from aiida_embarrier.potentials.pool import PoolEvaluator\n'
        "if __name__ == '__main__':\n"
        '    pool = PoolEvaluator(surface("Environment"), 2)\n'
        '    print(*[process.pid for process in pool._executor._processes.values()], flush=True)\n'
        '    time.sleep(60)\n'
    )
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2
        for child in children:  # they leave these signals to the parent
            os.kill(child, signal.SIGTERM)
            os.kill(child, signal.SIGINT)
        time.sleep(0.5)
        assert all(alive(child) for child in children)
    finally:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + 10
    while any(alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)


def alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


class OutOfMemoryError(RuntimeError):
    """Looks like that of torch."""


class SmallDevice(BatchEvaluator):
    """A device that holds so many structures at once."""

    def __init__(self, room):
        super().__init__('cuda')
        self.room, self.sizes = room, []

    def _compute(self, structures, stress):  # noqa: ARG002
        self.sizes.append(len(structures))
        if len(structures) > self.room:
            raise OutOfMemoryError
        if any('Xe' in atoms.symbols for atoms in structures):
            raise ValueError('what is Xe?')
        return [Evaluation(float(len(atoms)), np.zeros((len(atoms), 3))) for atoms in structures]

    def _free_memory(self):
        pass


def test_batch_is_halved_until_it_fits():
    device = SmallDevice(room=3)
    structures = [Atoms(f'Li{n}', cell=[9, 9, 9], pbc=True) for n in range(1, 11)]
    assert [outcome.energy for outcome in device.evaluate(structures)] == list(range(1, 11))
    assert device.sizes == [10, 5, 2, 2, 2, 2, 2]
    device.sizes = []
    device.evaluate(structures)
    assert device.sizes == [2] * 5  # it remembers


def test_structure_that_never_fits():
    with pytest.raises(PotentialError, match='a structure of 2 atoms does not fit into the memory of cuda'):
        SmallDevice(room=0).evaluate([Atoms('Li2', cell=[9, 9, 9], pbc=True)] * 4)


FAULTS = {
    'RuntimeError:CUDA error: an illegal memory access was encountered': 'this machine failed .* illegal memory access',
    'RuntimeError:cuDNN error: CUDNN_STATUS_EXECUTION_FAILED': 'this machine failed .* CUDNN_STATUS',
    'OSError:[Errno 5] Input/output error': 'this machine failed at structure 1: OSError',
    'MemoryError:': 'does not fit into the memory of cpu',
    "RuntimeError:[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory": 'does not fit into',
}


@pytest.mark.parametrize('fault', FAULTS)
def test_fault_of_the_machine_is_not_blamed_on_the_structure(fault):
    model = load_model(surface('Faulty', fault=fault), 'cpu')
    with pytest.raises(PotentialError, match=FAULTS[fault]):
        model.evaluate([bulk('Li'), bulk('Cu')])


def test_fault_of_the_machine_in_a_process_of_the_pool():
    with (
        PoolEvaluator(surface('Faulty', fault='OSError:no space left'), 1) as evaluator,
        pytest.raises(PotentialError, match='this machine failed at structure 1: OSError: no space left'),
    ):
        evaluator.evaluate([bulk('Li'), bulk('Cu')])


def test_fault_of_the_machine_in_a_batch():
    class Device(SmallDevice):
        def _compute(self, structures, stress):  # noqa: ARG002
            raise RuntimeError('CUDA error: device-side assert triggered')

    with pytest.raises(PotentialError, match='device-side assert'):
        Device(room=9).evaluate([bulk('Li'), bulk('Cu')])


def test_error_of_the_calculator_is_one_of_the_structure():
    outcomes = load_model(surface('Faulty', fault='RuntimeError:no neighbours'), 'cpu').evaluate([bulk('Cu')])
    assert 'refused structure 0: RuntimeError: no neighbours' in str(outcomes[0])


def test_refused_structure_in_a_batch():
    outcomes = SmallDevice(room=9).evaluate([Atoms(name, cell=[9, 9, 9], pbc=True) for name in ('Li', 'Xe', 'Na')])
    assert [type(outcome) for outcome in outcomes] == [Evaluation, EvaluationError, Evaluation]
    assert 'refused structure 1' in str(outcomes[1])


def test_processes_are_limited_by_cores_and_memory(monkeypatch):
    from aiida_embarrier.potentials import loading

    monkeypatch.setattr(loading, 'available_cores', lambda: 3)
    monkeypatch.setattr(loading, 'available_memory', lambda: int(64e9))
    with open_evaluator(emt(), 'cpu') as evaluator:
        assert evaluator.processes == 3
    monkeypatch.setattr(loading, 'available_memory', lambda: int(4e9))
    with open_evaluator(emt(), 'cpu', largest=100) as evaluator:
        assert evaluator.processes == 2  # 1.4 GB each
    with open_evaluator(emt(), 'cpu', processes=1) as evaluator:
        assert evaluator.processes == 1


@pytest.mark.parametrize(
    ('argument', 'device', 'expected'),
    [
        ('cpu', 'auto', 'cpu'),
        ('cpu', 'cuda', 'cpu'),
        ('cuda', 'auto', 'cuda'),
        ('cuda:1', 'cpu', 'cuda'),
        (None, 'auto', 'cpu'),
        (None, 'cuda', 'cuda'),
        ('auto', 'cuda', 'cuda'),
    ],
)
def test_an_ase_calculator_chooses_its_device(monkeypatch, argument, device, expected):
    from aiida_embarrier.potentials import loading

    monkeypatch.setattr(loading, 'choose_device', lambda _: 'cuda')  # as on a node with a GPU
    spec = surface('OnDevice', **({} if argument is None else {'device': argument}))
    with open_evaluator(spec, device, processes=2) as evaluator:
        assert evaluator.device == expected
        assert evaluator.processes == (1 if expected == 'cuda' else 2)
        assert (evaluator.evaluate([bulk('Li')])[0].energy == os.getpid()) is (expected == 'cuda')


# ---------------------------------------------------------------- the models in the wheels


@pytest.fixture(scope='module')
def oxides():
    """Return MgO and LiCoO2-like rock salt, rattled, 2 and 8 atoms: models cost so much per atom."""
    first = bulk('MgO', 'rocksalt', a=4.25)
    second = bulk('LiO', 'rocksalt', a=4.1, cubic=True)
    second.symbols[[i for i, atom in enumerate(second) if atom.symbol == 'Li'][::2]] = 'Co'
    for seed, atoms in enumerate((first, second)):
        atoms.rattle(0.05, seed=seed)
    return [first, second]


def check_model(spec, calculator, structures, tolerance):
    evaluator = load_model(verify_potential(spec), 'cpu')
    single = evaluator.evaluate(structures, stress=True)
    evaluator._batch_size = None  # as on a GPU
    batch = evaluator.evaluate(structures, stress=True)
    for atoms, one, many in zip(structures, single, batch, strict=True):
        reference = atoms.copy()
        reference.calc = calculator
        for outcome in (one, many):
            assert outcome.energy == pytest.approx(reference.get_potential_energy(), abs=tolerance * len(atoms))
            np.testing.assert_allclose(outcome.forces, reference.get_forces(), atol=50 * tolerance)
            np.testing.assert_allclose(outcome.stress, reference.get_stress(voigt=False), atol=5 * tolerance)
    without = evaluator.evaluate(structures)
    assert all(outcome.stress is None for outcome in without)


@pytest.mark.parametrize('model', ['0.3.0', 'r2scan'])
def test_chgnet_is_that_of_its_package(oxides, model):
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    calculator = CHGNetCalculator(CHGNet.load(model_name=model, use_device='cpu', verbose=False), use_device='cpu')
    check_model(resolve_potential('chgnet', model), calculator, oxides, 2e-6)
    evaluator = load_model(verify_potential(resolve_potential('chgnet', model)), 'cpu')
    for atoms, outcome in zip(oxides, evaluator.evaluate(oxides), strict=True):
        crystal = AseAtomsAdaptor.get_structure(atoms)
        reference = calculator.model.predict_structure(
            crystal, task='em', return_site_energies=True, return_atom_feas=True
        )
        graph = calculator.model.graph_converter(crystal)
        of_elements = calculator.model.composition_model.get_site_energies([graph])[0].detach().numpy()
        np.testing.assert_allclose(outcome.sites.energies, reference['site_energies'] - of_elements, atol=1e-5)
        np.testing.assert_allclose(outcome.sites.moments, reference['m'], atol=1e-5)
        np.testing.assert_allclose(outcome.sites.features, reference['atom_fea'], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('model', ['7net-0', '7net-l3i5', '7net-mf-0'])
def test_sevennet_is_that_of_its_package(oxides, model):
    from sevenn.calculator import SevenNetCalculator

    arguments = {'modal': 'PBE'} if model == '7net-mf-0' else {}
    check_model(
        resolve_potential('sevennet', model), SevenNetCalculator(model, device='cpu', **arguments), oxides, 2e-6
    )


@pytest.mark.slow
def test_sevennet_refuses_an_element_that_it_does_not_know(oxides):
    strange = oxides[0].copy()
    strange.symbols[0] = 'Fr'
    outcomes = load_model(verify_potential(resolve_potential('sevennet')), 'cpu').evaluate([strange, oxides[0]])
    assert 'does not know the element(s) Fr' in str(outcomes[0])
    assert isinstance(outcomes[1], Evaluation)
