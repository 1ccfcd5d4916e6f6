"""The band: one migration path as an ordered set of images."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from aiida_embarrier.bands.geometry import image_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike
    from pymatgen.core import Structure

__all__ = ('Band', 'BandInfo', 'Kind')

MECHANISMS = ('vacancy', 'interstitial', 'any')

#: Site properties of a pymatgen structure that belong to a kind, under the names that pymatgen uses.
KIND_PROPERTIES = {'magmom': 'magnetic_moment', 'oxidation_state': 'oxidation_state', 'hubbard_u': 'hubbard_u'}

#: Default of arrays that `__post_init__` fills with NaN, so that for readers they are always arrays.
UNKNOWN = cast('np.ndarray', None)


@dataclass(frozen=True)
class Kind:
    """A kind of atom: an element together with what tells atoms of this element apart.

    :param name: name of the kind, for instance ``Fe1``.
    :param element: chemical symbol.
    :param magnetic_moment: initial magnetic moment in Bohr magnetons, None where not given.
    :param oxidation_state: oxidation state, None where not given.
    :param hubbard_u: effective Hubbard U in eV, None where not given.
    """

    name: str
    element: str
    magnetic_moment: float | None = None
    oxidation_state: float | None = None
    hubbard_u: float | None = None

    def properties(self) -> dict[str, float | None]:
        """Return what tells this kind from others of its element."""
        return {name: getattr(self, name) for name in KIND_PROPERTIES.values()}


@dataclass(frozen=True)
class BandInfo:
    """How a band came about; every entry is None where it is not known.

    :param mechanism: `vacancy`, `interstitial` or `any` (no assumption on how many ions move).
    :param host: reduced formula of the host crystal.
    :param engine: name of the engine that computed the energies.
    :param functional: density functional; None for interatomic potentials.
    :param potential: interatomic potential and its model, for instance `chgnet-0.3.0`.
    :param potential_functional: the functional of the data which the potential was trained on.
    :param charge: charge of the cell in units of e, compensated by a uniform background.
    :param climbing: whether the highest image climbed.
    :param converged: whether the band met its convergence criteria.
    :param residual_force: largest force in eV/Å by the definition of convergence.
    :param host_treatment: what of the host was relaxed before hops were made: `none`, `positions` or `cell`.
    :param equivalent_endpoints: whether symmetry of the host maps one endpoint to the other.
    """

    mechanism: str | None = None
    host: str | None = None
    engine: str | None = None
    functional: str | None = None
    potential: str | None = None
    potential_functional: str | None = None
    charge: float | None = None
    climbing: bool | None = None
    converged: bool | None = None
    residual_force: float | None = None
    host_treatment: str | None = None
    equivalent_endpoints: bool | None = None

    def __post_init__(self) -> None:
        if self.mechanism is not None and self.mechanism not in MECHANISMS:
            raise ValueError(f'unknown mechanism {self.mechanism!r}: choose one of {", ".join(MECHANISMS)}')

    def to_dict(self) -> dict[str, Any]:
        """Return the entries as a dictionary of plain Python values."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, eq=False)
class Band:
    """One migration path: species once, a lattice, and positions, energies and forces of every image.

    The endpoints are images and count as such. Positions are stored as they are meant: the displacement of an atom from
    one image to the next is the plain difference of its positions and is never wrapped again, so a hop that is longer
    than half the cell keeps its way. Instances do not change: use :meth:`replace`.

    :param kinds: the kinds of atoms.
    :param kind_indices: for each atom the index of its kind, shape (n_atoms,).
    :param lattice: lattice vectors as rows in Å, shape (3, 3), or (n_images, 3, 3) for imported bands whose endpoints
        have different lattices.
    :param positions: Cartesian positions in Å, shape (n_images, n_atoms, 3).
    :param mobile: indices of the migrating atoms.
    :param energies: total energies in eV, shape (n_images,), NaN where unknown.
    :param forces: forces in eV/Å, shape (n_images, n_atoms, 3), or None.
    :param max_perpendicular_forces: largest force on an atom perpendicular to the path (for the climbing image: of the
        force with its component along the path inverted) in eV/Å, shape (n_images,), NaN where unknown.
    :param moments: magnetic moments on the sites as they were computed, in Bohr magnetons, shape (n_images, n_atoms),
        NaN where unknown, or None; the initial ones belong to the kinds.
    :param info: how the band came about.
    :raises ValueError: for shapes that do not fit together, fewer than two images, positions or lattices that are not
        finite, a cell without volume, or indices out of range.
    """

    kinds: tuple[Kind, ...]
    kind_indices: np.ndarray
    lattice: np.ndarray
    positions: np.ndarray
    mobile: tuple[int, ...] = ()
    energies: np.ndarray = UNKNOWN
    forces: np.ndarray | None = None
    max_perpendicular_forces: np.ndarray = UNKNOWN
    moments: np.ndarray | None = None
    info: BandInfo = field(default_factory=BandInfo)

    def __post_init__(self) -> None:
        positions = _array(self.positions, 'positions')
        if positions.ndim != 3 or positions.shape[2] != 3:
            raise ValueError(f'positions must have shape (n_images, n_atoms, 3), got {positions.shape}')
        n_images, n_atoms, _ = positions.shape
        if n_images < 2:
            raise ValueError(f'a band needs at least its two endpoints, got {n_images} image(s)')
        kind_indices = np.array(self.kind_indices, dtype=np.int64)
        if kind_indices.shape != (n_atoms,):
            raise ValueError(f'kind_indices must have shape ({n_atoms},), got {kind_indices.shape}')
        if n_atoms and not (kind_indices.min() >= 0 and kind_indices.max() < len(self.kinds)):
            raise ValueError(f'kind_indices must lie in 0..{len(self.kinds) - 1}')
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f'kind names must differ, got {repeated!r} more than once')
        if not isinstance(self.info, BandInfo):
            raise TypeError(f'info must be a BandInfo, got {self.info!r}')
        lattice = _array(self.lattice, 'lattice')
        if lattice.shape not in {(3, 3), (n_images, 3, 3)}:
            raise ValueError(f'lattice must have shape (3, 3) or ({n_images}, 3, 3), got {lattice.shape}')
        if np.any(np.abs(np.linalg.det(lattice)) < 1e-6):
            raise ValueError('the lattice vectors span no volume')
        mobile = tuple(int(index) for index in self.mobile)
        if any(not 0 <= index < n_atoms for index in mobile):
            raise ValueError(f'mobile atom indices {mobile} must lie in 0..{n_atoms - 1}')
        if len(set(mobile)) < len(mobile):
            raise ValueError(f'mobile atom indices {mobile} must differ')
        unknown = np.full(n_images, np.nan)
        energies = _array(unknown if self.energies is None else self.energies, 'energies', finite=False)
        perpendicular = self.max_perpendicular_forces
        perpendicular = _array(
            unknown if perpendicular is None else perpendicular, 'max_perpendicular_forces', finite=False
        )
        for name, array in (('energies', energies), ('max_perpendicular_forces', perpendicular)):
            if array.shape != (n_images,):
                raise ValueError(f'{name} must have shape ({n_images},), got {array.shape}')
        forces = None if self.forces is None else _array(self.forces, 'forces', finite=False)
        if forces is not None and forces.shape != positions.shape:
            raise ValueError(f'forces must have the shape of positions, {positions.shape}, got {forces.shape}')
        moments = None if self.moments is None else _array(self.moments, 'moments', finite=False)
        if moments is not None and moments.shape != (n_images, n_atoms):
            raise ValueError(f'moments must have shape ({n_images}, {n_atoms}), got {moments.shape}')
        for name, value in (
            ('kinds', tuple(self.kinds)),
            ('kind_indices', _frozen(kind_indices)),
            ('lattice', lattice),
            ('positions', positions),
            ('mobile', mobile),
            ('energies', energies),
            ('forces', forces),
            ('max_perpendicular_forces', perpendicular),
            ('moments', moments),
        ):
            object.__setattr__(self, name, value)

    # ---------------------------------------------------------------- shape and composition

    @property
    def n_images(self) -> int:
        """Number of images, the endpoints included."""
        return int(self.positions.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms of each image."""
        return int(self.positions.shape[1])

    @property
    def elements(self) -> list[str]:
        """Chemical symbol of each atom."""
        return [self.kinds[index].element for index in self.kind_indices]

    @property
    def formula(self) -> str:
        """Reduced formula of an image."""
        from pymatgen.core import Composition

        return str(Composition(''.join(f'{element} ' for element in self.elements)).reduced_formula)

    @property
    def mobile_ion(self) -> str | None:
        """Element of the migrating ion; None where no migrating atom is named or where they differ."""
        elements = {self.elements[index] for index in self.mobile}
        return elements.pop() if len(elements) == 1 else None

    # ---------------------------------------------------------------- geometry

    def lattice_of(self, image: int) -> np.ndarray:
        """Return the lattice of one image in Å, shape (3, 3)."""
        return self.lattice if self.lattice.ndim == 2 else self.lattice[image]

    @property
    def fractional(self) -> np.ndarray:
        """Fractional positions, not wrapped, shape (n_images, n_atoms, 3)."""
        return np.stack(
            [self.positions[image] @ np.linalg.inv(self.lattice_of(image)) for image in range(self.n_images)]
        )

    @property
    def displacements(self) -> np.ndarray:
        """Displacement of every atom from each image to the next in Å, shape (n_images - 1, n_atoms, 3).

        Where the images have different lattices it is the difference of the fractional positions in the mean of the two
        lattices: a change of the cell alone displaces no atom.
        """
        if self.lattice.ndim == 2:
            return np.diff(self.positions, axis=0)
        displacements: np.ndarray = np.diff(self.fractional, axis=0) @ ((self.lattice[:-1] + self.lattice[1:]) / 2)
        return displacements

    @property
    def reaction_coordinate(self) -> np.ndarray:
        """Length of the path up to each image in Å, over all atoms, shape (n_images,); the first is 0."""
        steps = np.linalg.norm(self.displacements.reshape(self.n_images - 1, -1), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def hop_length(self) -> float | None:
        """Distance between the first and the last position of the migrating ion in Å (of the farthest, if several)."""
        if not self.mobile:
            return None
        ends = self.fractional[[0, -1]][:, list(self.mobile)]
        moves = (ends[1] - ends[0]) @ ((self.lattice_of(0) + self.lattice_of(-1)) / 2)
        return float(np.linalg.norm(moves, axis=1).max())

    @property
    def periodic_image_distance(self) -> float:
        """Smallest distance between periodic images of the migrating ion in Å: the shortest lattice vector."""
        return min(image_distance(matrix) for matrix in self.lattice.reshape(-1, 3, 3))

    # ---------------------------------------------------------------- changes

    def replace(self, **changes: Any) -> Band:
        """Return a band with some entries changed; entries of :class:`BandInfo` are taken by their names too."""
        names = {entry.name for entry in fields(BandInfo)}
        info = {name: changes.pop(name) for name in list(changes) if name in names}
        if info:
            changes['info'] = replace(changes.get('info', self.info), **info)
        return replace(self, **changes)

    def reversed(self) -> Band:
        """Return the same path walked backwards."""
        return self.replace(
            lattice=self.lattice if self.lattice.ndim == 2 else self.lattice[::-1],
            positions=self.positions[::-1],
            energies=self.energies[::-1],
            forces=None if self.forces is None else self.forces[::-1],
            max_perpendicular_forces=self.max_perpendicular_forces[::-1],
            moments=None if self.moments is None else self.moments[::-1],
        )

    # ---------------------------------------------------------------- other objects

    @classmethod
    def from_structures(
        cls, structures: Sequence[Structure], mobile: Sequence[int] = (), info: BandInfo | None = None
    ) -> Band:
        """Make a band of structures whose sites correspond one to one and whose positions are already as meant.

        Use :func:`~aiida_embarrier.bands.alignment.align_endpoints` for endpoints whose sites may be in another order
        or wrapped differently. Kinds are told apart by the site properties `magmom`, `oxidation_state`, `hubbard_u`.

        :raises ValueError: where the structures differ in length or in the order of their elements.
        """
        first = structures[0]
        for number, structure in enumerate(structures):
            if [site.specie.symbol for site in structure] != [site.specie.symbol for site in first]:
                raise ValueError(f'image {number} and image 0 differ in the number or order of their elements')
        kinds, kind_indices = kinds_of(first)
        lattices = np.stack([structure.lattice.matrix for structure in structures])
        return cls(
            kinds=kinds,
            kind_indices=kind_indices,
            lattice=lattices[0] if np.allclose(lattices, lattices[0], rtol=0, atol=1e-8) else lattices,
            positions=np.stack([structure.cart_coords for structure in structures]),
            mobile=tuple(mobile),
            info=info or BandInfo(),
        )

    def structure(self, image: int) -> Structure:
        """Return one image as a pymatgen structure, positions not wrapped, kinds as site properties."""
        from pymatgen.core import Structure

        index = range(self.n_images)[image]
        properties: dict[str, list[Any]] = {'kind': [self.kinds[kind].name for kind in self.kind_indices]}
        for key, name in KIND_PROPERTIES.items():
            values = [getattr(self.kinds[kind], name) for kind in self.kind_indices]
            if any(value is not None for value in values):
                properties[key] = values
        return Structure(
            self.lattice_of(index),
            self.elements,
            self.positions[index],
            coords_are_cartesian=True,
            site_properties=properties,
        )

    def atoms(self, image: int) -> Atoms:
        """Return one image as ASE atoms, with initial magnetic moments where the kinds have any."""
        from ase import Atoms

        index = range(self.n_images)[image]
        moments = [self.kinds[kind].magnetic_moment for kind in self.kind_indices]
        known = any(moment is not None for moment in moments)
        return Atoms(
            self.elements,
            positions=self.positions[index],
            cell=self.lattice_of(index),
            pbc=True,
            magmoms=[moment or 0.0 for moment in moments] if known else None,
        )


def kinds_of(structure: Structure) -> tuple[tuple[Kind, ...], np.ndarray]:
    """Return the kinds of a pymatgen structure and the kind index of each site.

    Sites of one element with different `magmom`, `oxidation_state` or `hubbard_u` (site properties; an oxidation state
    may also stand on the species) are different kinds. The site property `kind` names a kind; without it the name is
    the element, numbered from 1 where an element has several kinds. Kinds come in the order of their first site.

    :raises ValueError: for partially occupied sites, for properties that are not one number (moments of non-collinear
        calculations), and where one name stands for atoms with different properties.
    """
    keys: list[tuple[Any, ...]] = []
    for number, site in enumerate(structure):
        if not site.is_ordered:
            raise ValueError(f'site {number} is partially occupied ({site.species_string}): order the structure first')
        values = [site.properties.get(key) for key in KIND_PROPERTIES]
        if values[1] is None:
            values[1] = getattr(site.specie, 'oxi_state', None)
        if values[0] is None:
            values[0] = getattr(site.specie, 'spin', None)
        scalars: list[float | None] = []
        for entry, value in zip(KIND_PROPERTIES, values, strict=True):
            try:
                scalars.append(None if value is None else float(value))
            except (TypeError, ValueError) as error:
                name = f'{site.specie.symbol} (site {number})'
                raise ValueError(f'the {entry} of {name} must be one number, got {value!r}') from error
        keys.append((site.specie.symbol, site.properties.get('kind'), *scalars))
    unique = list(dict.fromkeys(keys))
    kinds = []
    for key in unique:
        element, name, *values = key
        same = [other for other in unique if other[0] == element]
        if name is None:
            name = element if len(same) == 1 else f'{element}{same.index(key) + 1}'
        kinds.append(Kind(name, element, *values))
    names = [kind.name for kind in kinds]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'kind {name!r} stands for atoms with different properties: give them different names')
    return tuple(kinds), np.array([unique.index(key) for key in keys], dtype=np.int64)


def _array(values: ArrayLike, name: str, finite: bool = True) -> np.ndarray:
    array = np.array(values, dtype=float)
    if finite and not np.all(np.isfinite(array)):
        raise ValueError(f'{name} must be finite numbers')
    return _frozen(array)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
