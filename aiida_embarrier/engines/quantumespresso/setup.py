"""What the work chains of the engine share: from nodes to the inputs of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, KpointsData, SinglefileData

from aiida_embarrier.engines.quantumespresso.pseudos import choose_pseudos
from aiida_embarrier.engines.quantumespresso.settings import (
    Atoms,
    Settings,
    check_settings,
    hubbard_of,
    kpoints_mesh,
    pw_namelists,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from numpy.typing import ArrayLike

    from aiida_embarrier.bands.band import Kind

__all__ = ('Prepared', 'define_shared', 'job_options', 'kpoints_node', 'prepare')

#: Options of jobs, where nobody says more.
DEFAULT_OPTIONS = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}}


@dataclass(frozen=True)
class Prepared:
    """What jobs of one crystal or band need.

    :param namelists: of pw.x.
    :param pseudos: by the names of the kinds.
    :param mesh: of k-points.
    :param hubbard: what the card HUBBARD says; empty where there is none.
    """

    namelists: dict[str, dict[str, Any]]
    pseudos: dict[str, SinglefileData]
    mesh: tuple[int, int, int]
    hubbard: dict[str, Any]


def prepare(
    settings: Settings,
    kinds: Sequence[Kind],
    indices: Iterable[int],
    lattice: ArrayLike,
    charge: float,
    task: Any = 'scf',
) -> Prepared:
    """Return what jobs of a crystal or of a band need.

    :param kinds: the kinds of atoms.
    :param indices: index of the kind of each atom.
    :param lattice: lattice vectors as rows in Å.
    :param charge: of the cell in units of e.
    :param task: `scf`, `relax` or `vc-relax`.
    :raises ValueError: for what cannot be computed, with the remedy.
    """
    atoms = Atoms(kinds, indices)
    pseudos = choose_pseudos(settings, atoms)
    namelists = pw_namelists(atoms, settings, charge, task, pseudos.z_valence, pseudos.cutoffs)
    hubbard = hubbard_of(atoms, settings) if settings.hubbard_card else {}
    card = {
        'projectors': settings.hubbard_projectors,
        'kinds': {name: entry.model_dump() for name, entry in sorted(hubbard.items())},
    }
    return Prepared(namelists, pseudos.nodes, kpoints_mesh(lattice, settings), card if hubbard else {})


def kpoints_node(mesh: tuple[int, int, int]) -> KpointsData:
    """Return a mesh of k-points as a node."""
    node = KpointsData()
    node.set_kpoints_mesh(list(mesh))
    return node


def validate_settings(node: Dict | None, _: Any) -> str | None:
    """Check the settings of the engine."""
    if node is None:
        return None
    try:
        check_settings(node.get_dict())
    except ValueError as error:
        return str(error)
    return None


def validate_options(node: Dict | None, _: Any) -> str | None:
    """Check the options of jobs against those that AiiDA knows."""
    from aiida_embarrier.engines.chains import check_options
    from aiida_embarrier.engines.quantumespresso.calculation import QuantumEspressoNebCalculation

    return check_options(node, QuantumEspressoNebCalculation)


def define_shared(spec: WorkChainSpec) -> None:
    """Define the inputs and exit codes that all work chains of the engine have."""
    from aiida.orm import Float

    spec.input('settings', valid_type=Dict, validator=validate_settings, help='The protocol of the engine.')
    spec.input('charge', valid_type=Float, default=lambda: Float(0.0), help='Charge of the cell in units of e.')
    spec.input(
        'options',
        valid_type=Dict,
        required=False,
        validator=validate_options,
        help='Options of the jobs: `resources`, `max_wallclock_seconds`, `queue_name`, ...',
    )
    spec.exit_code(201, 'ERROR_INVALID_INPUT', message='This cannot be computed: {message}')
    spec.exit_code(310, 'ERROR_UNRECOVERABLE', message='A job failed in a way that a restart does not mend: {message}')


def job_options(inputs: Any) -> dict[str, Any]:
    """Return the options of jobs."""
    given = inputs.options.get_dict() if 'options' in inputs else {}
    return {**DEFAULT_OPTIONS, **given}


def refused(exit_codes: Any, error: ValueError) -> ExitCode:
    """Return the exit code of a chain for input that cannot be computed."""
    code: ExitCode = exit_codes.ERROR_INVALID_INPUT.format(message=str(error))
    return code
