"""What an engine is, and which there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from aiida_embarrier.engines.protocols import closest
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiida.orm import ProcessNode

__all__ = ('ENTRY_POINT_GROUP', 'Engine', 'available_engines', 'get_engine', 'status_of', 'why')

ENTRY_POINT_GROUP = 'aiida_embarrier.engines'


@dataclass(frozen=True)
class Engine:
    """A way to get energies and forces, by the names of its work chains: loading one imports no plugin.

    The contract of its work chains:

    * `relax` takes the dynamic namespace `structures` (StructureData by label), optionally `kinds` (Dict) and `cell`
      (Str, `fixed` or `full`); it returns the namespace `structures` with the same labels, and the Dict `results`
      whose `tasks` give for each label at least `energy` in eV and `n_steps`, 0 where it was relaxed already.
    * `neb` takes the dynamic namespace `bands` (BandData by label, the interpolated paths) and returns the namespace
      `bands` with the same labels (BandData with energies and forces, the last good ones also on failure), and the Dict
      `results` whose `tasks` give for each label at least `status`
      (:class:`~aiida_embarrier.jobs.schemas.Status`) and `message`. A band that fails does not spoil the others.
    * Where `charge` is a capability, both take `charge` (Float, 0 unless given), the charge of the cell in units of e.
    * Beside `tasks`, `results` counts `n_evaluations` (energies and forces of one structure, all structures and images
      together) and, where they are known, `wall_s` and `core_s`, the wall time of the jobs and that times their cores.

    :param name: name of its entry point.
    :param description: one line.
    :param relax: entry point of the relax work chain, in `aiida.workflows`.
    :param neb: entry point of the NEB work chain, in `aiida.workflows`.
    :param protocol: its protocol file.
    :param inputs: `module:function` that turns a resolved protocol into inputs of both work chains:
        ``function(protocol, code=..., options=...) -> {'relax': {...}, 'neb': {...}}``; `code` is a code, or for an
        engine with several programs a mapping of their names in `codes` to codes.
    :param resolve: `module:function` that says what would be computed for a crystal, without profile, code or
        pseudopotentials: ``function(structure, protocol, charge=..., n_images=...) -> {'relax': {...}, 'neb': {...}}``
        with plain values as they stand in the engine's input files; `structure` is a pymatgen structure with kinds as
        site properties. None where the protocol says everything.
    :param write_inputs: `module:function` that writes the input files of a band into a folder, for a look before
        anything is launched: ``function(folder, band, protocol, charge=...) -> [paths]``. None where it cannot.
    :param codes: the programs it runs, each with the calculation plugin of its code.
    :param functionals: keys of the density functionals it offers; empty for interatomic potentials.
    :param functional_table: the file that says how it computes them, see :mod:`aiida_embarrier.engines.functionals`.
    :param single_point: overrides of its protocol with which `neb` evaluates the images as they are and moves none (the
        band then does not count as converged); None where it cannot.
    :param capabilities: what it can do beyond the contract: `charge` (charged cells), `magnetism` (spin-polarised and
        antiferromagnetic cells), `hubbard` (Hubbard U).
    """

    name: str
    description: str
    relax: str
    neb: str
    protocol: Path
    inputs: str
    resolve: str | None = None
    write_inputs: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    functionals: tuple[str, ...] = ()
    functional_table: Path | None = None
    single_point: Mapping[str, Any] | None = None
    capabilities: frozenset[str] = frozenset()

    def inputs_from_protocol(self, protocol: dict[str, Any], **kwargs: Any) -> dict[str, dict[str, Any]]:
        """Return the inputs of the relax and NEB work chains for a resolved protocol."""
        function: Callable[..., dict[str, dict[str, Any]]] = self.load(self.inputs)
        return function(protocol, **kwargs)

    @staticmethod
    def load(reference: str) -> Callable[..., Any]:
        """Return the function that one of the references above names."""
        module, name = reference.split(':')
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


def available_engines() -> tuple[str, ...]:
    """Return the names of the engines, without importing anything of theirs."""
    return tuple(sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)))


def get_engine(name: str) -> Engine:
    """Return an engine by its name.

    :raises ValueError: for unknown names, with those there are.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            return entry.load()
    raise ValueError(f'unknown engine {name!r}{closest(name, available_engines())}')


def why(node: ProcessNode) -> str:
    """Return why a process ended: its exit message, or its state and where to read more."""
    if node.exit_message:
        return str(node.exit_message)
    state = node.process_state.value if node.process_state else 'of unknown state'
    return f'process {node.pk} is {state}: `verdi process report {node.pk}` tells more'


def status_of(task: Mapping[str, Any], node: ProcessNode) -> Status:
    """Return how a task of an engine's work chain ended; an engine that does not say so says it by its exit code.

    :param task: the entry of the task in the chain's `results`, empty where there is none.
    :param node: the work chain.
    """
    return Status(task.get('status', Status.CONVERGED if node.is_finished_ok else Status.FAILED))
