"""What an engine is, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiida_embarrier.engines.functionals import load_functionals
from aiida_embarrier.engines.protocols import closest, resolve_protocol
from aiida_embarrier.jobs.schemas import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from aiida.orm import AbstractCode, ProcessNode

    #: A code, codes by the names of programs, or none for engines that run no program.
    Codes: TypeAlias = AbstractCode | Mapping[str, AbstractCode] | None

__all__ = ('ENTRY_POINT_GROUP', 'Engine', 'available_engines', 'get_engine', 'status_of', 'why')

ENTRY_POINT_GROUP = 'aiida_embarrier.engines'


@dataclass(frozen=True)
class Engine:
    """A way to get energies and forces, by the names of its work chains: loading one imports no plugin.

    The contract of its work chains:

    * `relax` takes the dynamic namespace `structures` (StructureData by label), optionally `kinds` (Dict) and `cell`
      (Str, `fixed` or `full`); it returns the namespace `structures` with the same labels, and the Dict `results`
      whose `tasks` give for each label at least `energy` in eV and `n_steps`, 0 where it was relaxed already. Atoms
      stay beside where they were: positions are not wrapped into the cell, whatever a program does with them.
    * `neb` takes the dynamic namespace `bands` (BandData by label, the interpolated paths) and returns the namespace
      `bands` with the same labels (BandData with energies and forces, the last good ones also on failure), and the Dict
      `results` whose `tasks` give for each label at least `status`
      (:class:`~aiida_embarrier.jobs.schemas.Status`) and `message`, and where they are known `n_steps`, the steps of
      the optimiser in all jobs together, `n_evaluations`, and `residual_forces`, the largest force by the definition of
      convergence at each step, that of the starting band first. A band that fails does not spoil the others.
    * Where `charge` is a capability, both take `charge` (Float, 0 unless given), the charge of the cell in units of e.
    * Beside `tasks`, `results` counts `n_evaluations` (energies and forces of one structure, all structures and images
      together) and, where they are known, `wall_s` and `core_s`, the wall time of the jobs and that times their cores.

    :param name: name of its entry point.
    :param description: one line.
    :param relax: entry point of the relax work chain, in `aiida.workflows`.
    :param neb: entry point of the NEB work chain, in `aiida.workflows`.
    :param protocol: its protocol file, or what stands in one, see :mod:`aiida_embarrier.engines.protocols`.
    :param inputs: `module:function` that turns a resolved protocol into inputs of both work chains:
        ``function(protocol, code=..., options=...) -> {'relax': {...}, 'neb': {...}}``; `code` is a code, or for an
        engine with several programs a mapping of their names in `codes` to codes.
    :param resolve: `module:function` that says what would be computed for a crystal, without profile, code or
        pseudopotentials: ``function(structure, protocol, charge=..., n_images=...) -> {'relax': {...}, 'neb': {...}}``
        with plain values as they stand in the engine's input files, `relax` for a host and its cell, `neb` for a band;
        `structure` is a pymatgen structure with kinds as site properties. None where the protocol says everything.
    :param write_inputs: `module:function` that writes the input files of a band into a folder, for a look before
        anything is launched: ``function(folder, band, protocol, charge=...) -> [paths]``. None where it cannot.
    :param codes: the programs it runs, each with the calculation plugin of its code.
    :param functionals: keys of the density functionals it offers; empty for interatomic potentials.
    :param functional_table: the file that says how it computes them, see :mod:`aiida_embarrier.engines.functionals`.
    :param single_point: overrides of its protocol with which `neb` evaluates the images as they are and moves none (the
        band then does not count as converged); None where it cannot.
    :param capabilities: what it can do beyond the contract: `charge` (charged cells), `magnetism` (spin-polarised and
        antiferromagnetic cells), `hubbard` (Hubbard U).
    :param mpi: whether its programs run under MPI: the cores of a job are then its ranks, else threads of one process.
    :param requires: the distributions that its work chains import.
    :param extra: the extra of this package that installs them.
    :param examine: `module:function` that lists what else it needs and whether that is there, with a profile loaded:
        ``function() -> [(what, found or None, what to type)]``, such as families of pseudopotentials.
    :param check: `module:function` that says what forbids inputs of its work chains for a crystal, before anything is
        launched: ``function(engine_inputs, structure, charge=..., n_images=...) -> message or None``, with the inputs
        by the kind of work chain, and a pymatgen structure with kinds as site properties: the host, neutral, where the
        path is made of a crystal, else an endpoint or image with its charge.
    :param check_options: `module:function` that says what forbids options of the jobs of a band, without a code:
        ``function(options, n_images, protocol) -> message or None``.
    """

    name: str
    description: str
    relax: str
    neb: str
    protocol: Path | Mapping[str, Any]
    inputs: str
    resolve: str | None = None
    write_inputs: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    functionals: tuple[str, ...] = ()
    functional_table: Path | None = None
    single_point: Mapping[str, Any] | None = None
    capabilities: frozenset[str] = frozenset()
    mpi: bool = False
    requires: tuple[str, ...] = ()
    extra: str | None = None
    examine: str | None = None
    check: str | None = None
    check_options: str | None = None

    def inputs_from_protocol(self, protocol: dict[str, Any], code: Codes, **kwargs: Any) -> dict[str, dict[str, Any]]:
        """Return the inputs of the relax and NEB work chains for a resolved protocol.

        :param code: the code, or codes by the names of the programs; those of other engines among them are left out.
        :raises ValueError: for codes that are missing, and whatever the engine finds wrong.
        """
        function: Callable[..., dict[str, dict[str, Any]]] = self.load(self.inputs)
        return function(protocol, code=self.codes_among(code), **kwargs)

    def codes_among(self, code: Codes) -> AbstractCode | dict[str, AbstractCode] | None:
        """Return what of given codes this engine runs: a code, a mapping for several programs, None for none.

        :raises ValueError: where one is missing.
        """
        if not self.codes:
            return None
        spelt_out = ', '.join(f'{name!r}: ...' for name in self.codes)
        if not isinstance(code, Mapping):
            if code is None:
                raise ValueError(f'the engine {self.name!r} runs {", ".join(self.codes)}: give a code')
            if len(self.codes) > 1:
                raise ValueError(
                    f'the engine {self.name!r} runs several programs: give a code for each, {{{spelt_out}}}'
                )
            return code
        missing = [name for name in self.codes if name not in code]
        if missing:
            raise ValueError(f'the engine {self.name!r} needs a code for {missing[0]}: give {{{spelt_out}}}')
        own = {name: code[name] for name in self.codes}
        return own if len(own) > 1 else next(iter(own.values()))

    def resolve_protocol(
        self,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        place: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return the inputs of a protocol of this engine with overrides applied.

        :param place: the keys below which the overrides stand for the user, for messages.
        :raises ValueError: for unknown protocols, keys and functionals, naming the closest known one, and for
            functionals that the engine cannot compute, with the reason.
        """
        resolved = resolve_protocol(self.protocol, protocol, overrides, place)
        if self.functional_table is not None and 'functional' in resolved:
            load_functionals(self.functional_table).resolve(resolved['functional'], resolved.get('hubbard_u'))
        return resolved

    def resources(self, cores: int) -> dict[str, int]:
        """Return the resources of a job on so many cores of one machine, as AiiDA names them."""
        ranks, threads = (cores, 1) if self.mpi else (1, cores)
        return {'num_machines': 1, 'num_mpiprocs_per_machine': ranks, 'num_cores_per_mpiproc': threads}

    @staticmethod
    def load(reference: str) -> Callable[..., Any]:
        """Return the function that one of the references above names."""
        module, name = reference.split(':')
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


def _entry_points() -> Any:
    """Return the entry points of the engines, as AiiDA knows them."""
    from aiida.plugins import entry_point

    return entry_point.eps_select(ENTRY_POINT_GROUP)


def available_engines() -> tuple[str, ...]:
    """Return the names of the engines, without importing anything of theirs."""
    return tuple(sorted(entry.name for entry in _entry_points()))


def get_engine(name: str) -> Engine:
    """Return an engine by its name.

    :raises ValueError: for unknown names, with those there are.
    """
    for entry in _entry_points():
        if entry.name == name:
            engine: Engine = entry.load()
            return engine
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
