"""The first steps of a derivation: the crystal found in a database or derived from a parent, and ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ToContext, if_
from aiida.orm import Dict
from aiida.plugins import CalculationFactory

from aiida_embarrier.calculations.derivation import substitute_and_scale
from aiida_embarrier.calculations.derived import lowest_ordering, rank_orderings, summarise_derivation
from aiida_embarrier.engines.base import status_of, why
from aiida_embarrier.engines.resumption import is_resumed, taking_finished_jobs
from aiida_embarrier.jobs.schemas import Status
from aiida_embarrier.workflows.derive_inputs import is_disordered, lookup_inputs
from aiida_embarrier.workflows.hop_endpoints import HopEndpointsWorkChain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida.engine import ExitCode

__all__ = ('CrystalWorkChain',)


class CrystalWorkChain(HopEndpointsWorkChain):
    """The steps to an ordered crystal, and the record of the branches that were taken.

    `ctx.host` is the structure as it is now, `ctx.crystal` the same before any relaxation, to which the numbers of hops
    refer, `ctx.kinds` what its kinds are. The inputs are those of the derivation, which defines them.
    """

    @classmethod
    def source_steps(cls) -> Any:
        """Return the part of an outline that finds or derives the crystal."""
        return if_(cls.should_look_up)(cls.look_up, cls.inspect_lookup), if_(cls.should_derive)(cls.derive)

    @classmethod
    def ordering_steps(cls) -> Any:
        """Return the part of an outline that orders a disordered crystal; for their energies orderings are relaxed."""
        return if_(cls.is_disordered)(
            cls.make_orderings,
            cls.inspect_orderings,
            if_(cls.should_relax)(cls.relax_orderings, cls.inspect_relaxed_orderings),
            cls.choose_ordering,
        )

    def setup(self) -> None:
        """Say what is going to happen."""
        super().setup()
        self.ctx.crystal = self.ctx.host  # before it was relaxed
        self.ctx.kinds = self.inputs.get('kinds')
        self.ctx.branches = []
        self.ctx.warnings = []
        self.ctx.state = self.ctx.table = self.ctx.relaxed_in = self.ctx.hops = None
        start = self.inputs.get('structure', self.inputs.get('parent'))
        what = 'by a lookup' if start is None else f'from {start.get_formula()}'
        self.report(f'deriving a structure {what}, engine {self.engine.name}')
        if 'structure' in self.inputs:
            self._branch('source', 'given', 'the crystal was given')

    def _branch(self, step: str, taken: str, reason: str) -> None:
        """Record which branch of the flow chart was taken."""
        self.ctx.branches.append({'step': step, 'taken': taken, 'why': reason})
        self.report(f'{step}: {taken} ({reason})')

    def _warn(self, warnings: Iterable[str] | None) -> None:
        """Keep what a reader of the structure must know."""
        for text in warnings or []:
            self.ctx.warnings.append(text)
            self.report(f'warning: {text}')

    def _kinds(self) -> dict[str, Dict]:
        return {} if self.ctx.kinds is None else {'kinds': self.ctx.kinds}

    def _summarise_derivation(self, message: str = '') -> None:
        structure = {} if self.ctx.host is None or is_disordered(self.ctx.host) else {'structure': self.ctx.host}
        summary = summarise_derivation(
            Dict(
                {
                    'branches': self.ctx.branches,
                    'warnings': list(dict.fromkeys(self.ctx.warnings)),
                    'failures': dict(self.ctx.failures),
                    'message': message,
                    'relaxed_in': self.ctx.relaxed_in,
                }
            ),
            **structure,
            **{f'results_{name}': node for name, node in self.ctx.results.items()},
            metadata={'call_link_label': 'summarise_derivation'},
        )
        self.out('summary', summary)

    def _end(self, name: str, message: str, **further: Any) -> ExitCode:
        """Return an exit code, after what there is to say of the steps before."""
        self._summarise_derivation(message)
        return self.exit_codes[name].format(message=message, **further)

    # ---------------------------------------------------------------- found or derived

    def should_look_up(self) -> bool:
        """Return whether a database is to be searched."""
        return 'lookup' in self.inputs

    def _job(self, entry_point: str, label: str, **inputs: Any) -> Any:
        """Submit a job of the worker; one that was done before is taken from the database in a resumed process.

        :param label: name of the step.
        """
        options = self.inputs.worker_options.get_dict() if 'worker_options' in self.inputs else {}
        with taking_finished_jobs(is_resumed(self.node)):
            return self.submit(
                CalculationFactory(entry_point),
                code=self.inputs.worker_code,
                metadata={'call_link_label': label, 'options': options},
                **inputs,
            )

    def look_up(self) -> Any:
        """Search the database, for a crystal with the framework of the parent where an ion is all that is said."""
        node = self._job('embarrier.lookup', 'lookup', **lookup_inputs(self.inputs))
        self.report(f'searching a database: {node.pk}')
        return ToContext(lookup=node)

    def inspect_lookup(self) -> ExitCode | None:
        """Take what was found."""
        node = self.ctx.lookup
        if not node.is_finished_ok:
            return self._end('ERROR_LOOKUP', why(node))
        results = node.outputs.results.get_dict()
        self._warn(results.get('problems'))
        where = ' '.join(str(results[key]) for key in ('provider', 'where', 'version') if results.get(key))
        # of an intercalated crystal entries with other frameworks are told too, and do not count
        entries = [] if results.get('verdict') == 'to_be_derived' else [entry['id'] for entry in results['entries']]
        wanted = self.inputs.lookup.get_dict().get('entry')
        if wanted is not None and wanted not in entries:
            return self._end(
                'ERROR_NOT_FOUND', f'{where} answered without {wanted!r}: {", ".join(entries) or "nothing"}'
            )
        if not entries:
            reason = f'{where} has no such crystal'
            if 'parent' not in self.inputs:
                return self._end('ERROR_NOT_FOUND', f'{reason}; the query was {results["query"]}')
            self._branch('lookup', 'not found', f'{reason}, so it is derived from the parent')
            return None
        number = 0 if wanted is None else entries.index(wanted)
        label = f'entry_{number:03d}'
        self.ctx.host = self.ctx.crystal = node.outputs.structures[label]
        self.ctx.kinds = node.outputs.kinds[label]
        which = 'the one asked for' if wanted is not None else f'the first of {len(entries)}'
        self._branch('lookup', 'found', f'{entries[number]} of {where}, {which}')
        return None

    def should_derive(self) -> bool:
        """Return whether the structure is still to be had from its parent."""
        return self.ctx.host is None

    def derive(self) -> ExitCode | None:
        """Exchange species of the parent and scale its volume."""
        outputs, node = substitute_and_scale.run_get_node(
            structure=self.inputs.parent,
            parameters=self.inputs.substitution,
            **self._kinds(),
            metadata={'call_link_label': 'substitute_and_scale'},
        )
        if not node.is_finished_ok:
            return self._end('ERROR_DERIVATION', node.exit_message)
        self.ctx.host = self.ctx.crystal = outputs['structure']
        self.ctx.kinds = outputs['kinds']
        results = outputs['results'].get_dict()
        species = ', '.join(f'{old} to {new}' for old, new in results['substituted'].items())
        change = 100 * (results['ratio'] - 1)
        self._branch(
            'source',
            'derived',
            f'{results["formula"]} from {results["parent_formula"]} by {species}, volume {change:+.1f} % by '
            f'{results["radii_used"]} radii',
        )
        self._warn(results['warnings'])
        return None

    # ---------------------------------------------------------------- ordered or not

    def is_disordered(self) -> bool:
        """Return whether the crystal has to be ordered."""
        if not is_disordered(self.ctx.host):
            self._branch('occupancies', 'ordered', 'every site holds one atom')
            return False
        self._branch('occupancies', 'disordered', 'sites are occupied partly or by several species')
        return True

    def should_relax(self) -> bool:
        """Return whether the structure is to be relaxed."""
        return bool(self.inputs.relax_host.value != 'none')

    def make_orderings(self) -> ExitCode | Any:
        """Order the crystal in all distinct ways."""
        if 'worker_code' not in self.inputs:
            return self._end('ERROR_ORDERINGS', 'what was found is disordered: give `worker_code` to order it')
        parameters = self.inputs.orderings.get_dict() if 'orderings' in self.inputs else {}
        parameters.setdefault('keep', self.inputs.relax_orderings.value)
        inputs = {'structure': self.ctx.host, 'parameters': Dict(parameters), **self._kinds()}
        node = self._job('embarrier.orderings', 'orderings', **inputs)
        self.report(f'ordering {self.ctx.host.get_formula()}: {node.pk}')
        return ToContext(make_orderings=node)

    def inspect_orderings(self) -> ExitCode | None:
        """Take the orderings."""
        node = self.ctx.make_orderings
        if not node.is_finished_ok or 'structures' not in node.outputs:
            return self._end('ERROR_ORDERINGS', why(node))
        self._warn(node.outputs.results.get_dict().get('warnings'))
        labels = sorted(node.outputs.structures)[: self.inputs.relax_orderings.value]
        self.ctx.orderings = {label: node.outputs.structures[label] for label in labels}
        kinds = node.outputs.kinds if 'kinds' in node.outputs else {}
        self.ctx.ordering_kinds = {label: kinds[label] for label in labels if label in kinds}
        return None

    def relax_orderings(self) -> Any:
        """Relax the orderings side by side, those with the same kinds in one job."""
        cell = 'full' if self.inputs.relax_host.value == 'cell' else 'fixed'
        alike: list[tuple[Any, list[str]]] = []
        for label in self.ctx.orderings:
            kinds = self.ctx.ordering_kinds.get(label)
            content = None if kinds is None else kinds.get_dict()
            group = next((labels for known, labels in alike if known == content), None)
            if group is None:
                alike.append((content, [label]))
            else:
                group.append(label)
        waiting = {}
        for number, (_, labels) in enumerate(alike, start=1):
            self.ctx.kinds = self.ctx.ordering_kinds.get(labels[0])
            step = 'relax_orderings' if len(alike) == 1 else f'relax_orderings_{number}'
            waiting[step] = self._submit_relax({label: self.ctx.orderings[label] for label in labels}, cell, step)
        self.ctx.ordering_steps = list(waiting)
        pks = ', '.join(str(node.pk) for node in waiting.values())
        self.report(f'relaxing {len(self.ctx.orderings)} ordering(s) of lowest Ewald energy: {pks}')
        return ToContext(**waiting)

    def inspect_relaxed_orderings(self) -> ExitCode | None:
        """Take the orderings that were relaxed to their end; one that failed leaves the others alone."""
        self.ctx.relaxed_orderings = {}
        for step in self.ctx.ordering_steps:
            node = self.ctx[step]
            tasks = self._take_results(step, node)
            for label in node.inputs.structures:
                task = tasks.get(label, {})
                if task and status_of(task, node) is Status.CONVERGED:
                    self.ctx.relaxed_orderings[label] = (step, node.outputs.structures[label])
                else:
                    self._fail(label, task.get('message') or why(node))
        if not self.ctx.relaxed_orderings:
            self._rank()
            reasons = '; '.join(dict.fromkeys(self.ctx.failures.values()))
            return self._end('ERROR_NO_ORDERING', reasons)
        if self.ctx.failures:
            failed = ', '.join(self.ctx.failures)
            self._warn([f'{failed} could not be relaxed, so the ground state is that of the others'])
        return None

    def _rank(self) -> None:
        """Make the table of the orderings with their ranks."""
        self.ctx.table = rank_orderings(
            table=self.ctx.make_orderings.outputs.table,
            ordering=next(iter(self.ctx.orderings.values())),
            parameters=Dict({'failures': dict(self.ctx.failures)}),
            **self.ctx.results,
            metadata={'call_link_label': 'rank_orderings'},
        )
        self.out('orderings', self.ctx.table)

    def choose_ordering(self) -> None:
        """Go on with the ground state."""
        self._rank()
        frame = self.ctx.table.table
        label = lowest_ordering(self.ctx.table)
        assert label is not None
        self.ctx.crystal = self.ctx.host = self.ctx.orderings[label]
        self.ctx.kinds = self.ctx.ordering_kinds.get(label)
        distinct, made = len(frame), len(self.ctx.orderings)
        total = self.ctx.make_orderings.outputs.results.get_dict().get('n_distinct', distinct)
        if self.should_relax():
            step, self.ctx.host = self.ctx.relaxed_orderings[label]
            self.ctx.relaxed_in = [step, label]
            reason = f'lowest energy of {len(self.ctx.relaxed_orderings)} relaxed orderings, of {total} distinct ones'
        else:
            reason = f'lowest Ewald energy of {total} distinct orderings, none of which was relaxed'
        if made < total and self.should_relax():
            self._warn(
                [f'{total - made} of {total} distinct orderings were not relaxed: one of them may be lower in energy']
            )
        self._branch('ordering', label, reason)
        self.ctx.failures = {}  # hops come next
