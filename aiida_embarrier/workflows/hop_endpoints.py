"""The endpoints of several hops of one crystal: made in one supercell, and each state relaxed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.orm import Dict

from aiida_embarrier.calculations.mapping import copy_endpoints
from aiida_embarrier.calculations.network import create_network, ends_of
from aiida_embarrier.calculations.paths import through_atoms
from aiida_embarrier.workflows.migration import MigrationWorkChain

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.orm import StructureData

__all__ = ('HopEndpointsWorkChain',)


class HopEndpointsWorkChain(MigrationWorkChain):
    """The steps from a host to the endpoints of some of its hops.

    `ctx.plan` says which hops there are, `ctx.paths` holds what later steps need of each by its label, and
    `ctx.failures` why a hop has no endpoints.
    """

    def setup(self) -> None:
        """Begin with an empty context."""
        super().setup()
        self.ctx.paths = {}
        self.ctx.failures = {}

    def _make_endpoints(self, hops: Dict, crystal: StructureData) -> ExitCode | None:
        """Make the endpoints of hops in one supercell of the host.

        :param hops: the hops, see :func:`~aiida_embarrier.calculations.paths.resolve_hops`.
        :param crystal: what their numbers refer to: the host before it was relaxed.
        """
        outputs, node = create_network.run_get_node(
            host=self.ctx.host,
            hops=hops,
            parameters=Dict(self._supercell_parameters()),
            crystal=crystal,
            **self._kinds(),
            metadata={'call_link_label': 'create_network'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_INVALID_PATH.format(message=node.exit_message)
        self.ctx.plan = outputs['plan']
        if self.ctx.plan['left_out']:
            self.report(through_atoms(self.ctx.plan['left_out']))
        self.ctx.failures = dict(self.ctx.plan['failed'])
        for label, message in self.ctx.failures.items():
            self.report(f'{label} is left out: {message}')
        for label in self.ctx.plan['hops']:
            if label not in self.ctx.failures:
                self.ctx.paths[label] = outputs[f'{label}_path']
                self.ctx.unrelaxed |= {end: outputs[end] for end in ends_of(label).values()}
        if not self.inputs.relax_endpoints.value:
            self.ctx.relaxed = self.ctx.unrelaxed
        warnings = dict.fromkeys(text for path in self.ctx.paths.values() for text in path['warnings'])
        for warning in warnings:
            self.report(f'warning: {warning}')
        atoms = {len(node.sites) for node in self.ctx.unrelaxed.values()}
        self.report(f'endpoints of {len(self.ctx.paths)} hop(s) made: {", ".join(map(str, atoms))} atoms')
        return None

    def take_endpoints(self) -> None:
        """Put states that several hops share into the order of sites that each needs."""
        copies = self._states.get('copies', {})
        wanted = {label: source for label, source in copies.items() if source in self.ctx.relaxed}
        if wanted:
            states = sorted(set(wanted.values()))
            made, node = copy_endpoints.run_get_node(
                plan=self.ctx.plan,
                **{f'relaxed_{label}': self.ctx.relaxed[label] for label in states},
                **{f'unrelaxed_{label}': self.ctx.unrelaxed[label] for label in [*states, *wanted]},
                metadata={'call_link_label': 'copy_endpoints'},
            )
            if node.is_finished_ok:
                self.ctx.relaxed |= made
        for label in self.ctx.paths:
            missing = [end for end in ends_of(label).values() if end not in self.ctx.relaxed]
            if missing:
                side, reason = missing[0].rpartition('_')[2], self._why_not_relaxed(missing[0])
                self._fail(label, f'its {side} state could not be relaxed: {reason}')

    def _fail(self, label: str, message: str) -> None:
        self.ctx.failures[label] = message
        self.report(f'{label}: {message}')
