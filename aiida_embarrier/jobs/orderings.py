"""Jobs that order a disordered crystal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Schema
from aiida_embarrier.structures.occupancies import DEFAULT_TOLERANCE
from aiida_embarrier.structures.supercells import supercell_matrix

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ('STRUCTURES_FILE', 'TABLE_FILE', 'AverageCrystal', 'OrderingSettings', 'OrderingsJob', 'OrderingsResult')

#: Files of results: the structures as pymatgen writes them, and the table of all distinct orderings.
STRUCTURES_FILE = 'structures.json'
TABLE_FILE = 'orderings.parquet'

Occupant = tuple[str, float, float | None]


class AverageCrystal(Schema):
    """A crystal with partly occupied or shared sites.

    :param lattice: lattice vectors as rows in Å.
    :param positions: Cartesian positions of the sites in Å.
    :param occupants: for each site symbol, occupancy and oxidation state (None where it is not known) of what it holds.
    :param properties: values for each site by the names that pymatgen gives site properties, such as `magmom`.
    """

    lattice: list[list[float]]
    positions: list[list[float]]
    occupants: list[list[Occupant]]
    properties: dict[str, list[float | None]] = Field(default_factory=dict)

    @model_validator(mode='after')
    def _shapes(self) -> AverageCrystal:
        lists: dict[str, list[Any]] = {'positions': self.positions, 'occupants': self.occupants, **self.properties}
        lengths = {name: len(values) for name, values in lists.items()}
        if not self.positions or len(set(lengths.values())) > 1:
            raise ValueError(f'all lists must have one entry for each site, got {lengths}')
        if len(self.lattice) != 3:
            raise ValueError(f'lattice must be three rows, got {len(self.lattice)}')
        for name, rows in (('lattice', self.lattice), ('positions', self.positions)):
            if any(len(row) != 3 or not all(map(math.isfinite, row)) for row in rows):
                raise ValueError(f'{name} must be rows of three finite numbers')
        return self

    @classmethod
    def of(cls, structure: Structure) -> AverageCrystal:
        """Return how a structure stands in a job file."""
        return cls(
            lattice=structure.lattice.matrix.tolist(),
            positions=structure.cart_coords.tolist(),
            occupants=[
                [(name.symbol, float(value), getattr(name, 'oxi_state', None)) for name, value in site.species.items()]
                for site in structure
            ],
            properties={
                name: [None if value is None else float(value) for value in values]
                for name, values in structure.site_properties.items()
                if name != 'kind'
            },
        )

    def structure(self) -> Structure:
        """Return the structure.

        :raises ValueError: for symbols of no element.
        """
        from pymatgen.core import Composition, Element, Species, Structure

        return Structure(
            self.lattice,
            [
                Composition(
                    {Element(name) if state is None else Species(name, state): value for name, value, state in held}
                )
                for held in self.occupants
            ],
            self.positions,
            coords_are_cartesian=True,
            site_properties=dict(self.properties),
        )


class OrderingSettings(Schema):
    """How a crystal is ordered.

    :param mode: `exact` for all orderings that differ by symmetry, or `pymatgen` for those that its order-disorder
        transformation proposes.
    :param algorithm: how pymatgen searches: `fast` or `best_first`.
    :param supercell: one, three or nine integers; `fit` for the smallest diagonal one that holds whole atoms; None for
        the cell as it is.
    :param fix: what the content is fixed for: sites with the same `occupancy`, or each crystallographic `orbit`.
    :param tolerance: by how much rounding to whole atoms may change an occupancy.
    :param limit: most arrangements that are enumerated, 5 million unless given; for pymatgen most orderings that it
        proposes, 1000.
    :param keep: how many structures are made, those of lowest Ewald energy; the table has all orderings.
    :param oxidation_states: by symbol in units of e; None for those in the crystal, or else a guess.
    :param symprec: how far sites may lie from where symmetry wants them, in Å.
    """

    mode: Literal['exact', 'pymatgen'] = 'exact'
    algorithm: Literal['fast', 'best_first'] = 'fast'
    supercell: Literal['fit'] | int | list[int] | list[list[int]] | None = None
    fix: Literal['occupancy', 'orbit'] = 'occupancy'
    tolerance: float = Field(DEFAULT_TOLERANCE, ge=0, le=1)
    limit: int | None = Field(None, ge=1)
    keep: int = Field(10, ge=1)
    oxidation_states: dict[str, float] | None = None
    symprec: float = Field(0.01, gt=0)

    @field_validator('supercell')
    @classmethod
    def _is_supercell(cls, value: Any) -> Any:
        if value is not None and value != 'fit':
            supercell_matrix(value)
        return value

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`~aiida_embarrier.structures.orderings.find_orderings`."""
        entries = self.model_dump(exclude={'mode'})
        return {**entries, 'exact': self.mode == 'exact'}


class OrderingsJob(PlainJob):
    """The orderings of a crystal.

    :param crystal: the average crystal.
    :param settings: how it is ordered.
    """

    job: Literal['orderings'] = 'orderings'
    crystal: AverageCrystal
    settings: OrderingSettings = Field(default_factory=OrderingSettings)


class OrderingsResult(PlainResult):
    """What the orderings are; the table of all of them and the structures lie in files of their own.

    :param formula: what the cell holds.
    :param supercell: the cell in units of that of the crystal, integers, shape (3, 3).
    :param n_arrangements: in how many ways its atoms can be put on its sites.
    :param n_distinct: how many of these differ by symmetry.
    :param n_found: how many orderings the table has; in the exact mode all distinct ones.
    :param n_structures: of how many of them there are structures.
    :param n_operations: in how many ways symmetry permutes the sites.
    :param contents: for each set of sites that share their atoms its occupancies, numbers of atoms and vacancies.
    :param ranked: whether they are in the order of their Ewald energies.
    :param oxidation_states: charges in units of e that these were computed with.
    :param oxidation_source: where the charges are from: `given`, `file`, `guess` or `none`.
    """

    formula: str | None = None
    supercell: list[list[int]] = Field(default_factory=list)
    n_arrangements: int | None = None
    n_distinct: int | None = None
    n_found: int | None = None
    n_structures: int | None = None
    n_operations: int | None = None
    contents: list[dict[str, Any]] = Field(default_factory=list)
    ranked: bool | None = None
    oxidation_states: dict[str, float] = Field(default_factory=dict)
    oxidation_source: str | None = None
