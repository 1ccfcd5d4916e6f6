"""The volume that a derived crystal is likely to have."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.analysis.bond_valence import BVAnalyzer
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.analysis.structure_prediction.volume_predictor import RLSVolumePredictor
from pymatgen.core import Element, Species, Structure

from aiida_embarrier.structures.crystals import check_crystal
from aiida_embarrier.structures.oxidation import (
    decorated,
    oxidation_states_of,
)

__all__ = ('RADII', 'VolumePrediction', 'scale_volume')

#: Which radii may be used, by the names of pymatgen.
RADII = ('ionic-atomic', 'ionic', 'atomic')


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """The volume of a derived crystal by that of its parent.

    :param volume: predicted volume of the cell of the derived crystal in Å³.
    :param structure: the derived crystal, its cell scaled alike in all directions to that volume.
    :param ratio: predicted volume over that of the parent, each per atom.
    :param radii_derived: radius in Å by species of the derived crystal, such as ``Na+``; by element where it has no
        oxidation states.
    :param radii_parent: the same of the parent.
    :param radii_used: `ionic` or `atomic`.
    :param fell_back: whether atomic radii were used because ionic ones were not to be had.
    :param oxidation_states: where the oxidation states came from, for the derived crystal and the parent: `given`,
        `bond valence`, or None where there are none.
    :param warnings: what a reader must know.
    """

    volume: float
    structure: Structure
    ratio: float
    radii_derived: dict[str, float]
    radii_parent: dict[str, float]
    radii_used: str
    fell_back: bool
    oxidation_states: tuple[str | None, str | None]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all but the structure as plain Python values."""
        return {
            'volume': self.volume,
            'ratio': self.ratio,
            'radii_used': self.radii_used,
            'fell_back': self.fell_back,
            'radii_derived': dict(self.radii_derived),
            'radii_parent': dict(self.radii_parent),
            'oxidation_states_from': {'derived': self.oxidation_states[0], 'parent': self.oxidation_states[1]},
            'warnings': list(self.warnings),
        }


def scale_volume(
    derived: Structure, parent: Structure, *, radii: str = 'ionic-atomic', require_isostructural: bool = True
) -> VolumePrediction:
    """Predict the volume of a crystal by that of another one of the same structure type.

    V_d = V_p (Σ_k r_d,k N_d,k^(1/3) / Σ_k r_p,k N_p,k^(1/3))³, where k runs over the species, r is a radius and N how
    many ions of the species the cell has: pymatgen's `RLSVolumePredictor`, whose number this is. Ionic radii need
    oxidation states. Those that the crystals carry are used, or else bond valences decide. Cells of different size are
    no obstacle: with n times the ions the volume is n times as large.

    :param derived: the crystal whose volume is sought. That of its cell counts only where its oxidation states have to
        be found, by the lengths of its bonds.
    :param parent: the known crystal.
    :param radii: `ionic`, `atomic`, or `ionic-atomic`: ionic ones where they are known for all species, else atomic.
    :param require_isostructural: refuse crystals that are not of one structure type.
    :raises ValueError: for pairs of different structure types, and radii that are not known.
    """
    if radii not in RADII:
        raise ValueError(f'unknown radii {radii!r}: choose from {", ".join(RADII)}')
    check_crystal(derived)
    check_crystal(parent)
    notes = _compare(derived, parent, require_isostructural)
    own, own_source = _with_states(derived, radii)
    # As pymatgen does: where the first fails, the second is not tried.
    other, other_source = _with_states(parent, radii) if own_source or radii == 'atomic' else (_bare(parent), None)
    ionic = [_ionic_radii(structure) for structure in (own, other)] if own_source and other_source else []
    used = 'ionic' if radii != 'atomic' and ionic and all(ionic) else 'atomic'
    fell_back = radii == 'ionic-atomic' and used == 'atomic'
    if used == 'atomic' and radii == 'ionic':
        raise ValueError(f'{_why_atomic(own, own_source, other, other_source)}: allow atomic radii with ionic-atomic')
    if fell_back:
        notes.append(f'{_why_atomic(own, own_source, other, other_source)}: atomic radii are used')
    if used == 'atomic':
        _check_atomic_radii(own, other)
    predictor = RLSVolumePredictor(check_isostructural=False, radii_type=used, use_bv=False)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        volume = float(predictor.predict(own, other))
    tables = [_radii(structure, used) for structure in (own, other)]
    notes += _doubts(own, other) if used == 'ionic' else _split(own, other)
    scaled = derived.copy()
    scaled.scale_lattice(volume)
    return VolumePrediction(
        volume=volume,
        structure=scaled,
        ratio=volume / parent.volume * len(parent) / len(derived),
        radii_derived=tables[0],
        radii_parent=tables[1],
        radii_used=used,
        fell_back=fell_back,
        oxidation_states=(own_source, other_source),
        warnings=tuple(notes),
    )


def _compare(derived: Structure, parent: Structure, require_isostructural: bool) -> list[str]:
    """Refuse a pair of different structure types, or say that it is one."""
    names = f'{derived.composition.reduced_formula} and {parent.composition.reduced_formula}'
    counts = [
        sorted(structure.composition.reduced_composition.get_el_amt_dict().values()) for structure in (derived, parent)
    ]
    if counts[0] != counts[1]:
        message = (
            f'{names} have different contents: their elements come in the numbers '
            f'{" and ".join(":".join(f"{number:g}" for number in count) for count in counts)}'
        )
    elif _same_sites(derived, parent):
        return []
    elif StructureMatcher().get_best_electronegativity_anonymous_mapping(derived, parent) is None:
        message = f'{names} are not isostructural: no exchange of elements makes one crystal of the other'
    else:
        return []
    if require_isostructural:
        remedy = 'allow it with require_isostructural=False (--any-structure)'
        raise ValueError(f'{message}; the volume of such a parent says little: {remedy}')
    return [f'{message}; the volume may be far off']


def _same_sites(derived: Structure, parent: Structure) -> bool:
    """Return whether one crystal has its atoms on the sites of the other, each element in the place of another one.

    That is so after a substitution, and quicker to see than any match.
    """
    if len(derived) != len(parent) or not np.allclose(derived.frac_coords, parent.frac_coords, atol=1e-4):
        return False
    if not np.allclose(derived.lattice.parameters, parent.lattice.parameters, rtol=1e-4):
        return False
    pairs = {(one.specie.symbol, other.specie.symbol) for one, other in zip(derived, parent, strict=True)}
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _bare(structure: Structure) -> Structure:
    return Structure(structure.lattice, [site.specie.symbol for site in structure], structure.frac_coords)


def _with_states(structure: Structure, radii: str) -> tuple[Structure, str | None]:
    """Return a crystal whose species carry oxidation states, and where they come from; without them where unknown."""
    carried = oxidation_states_of(structure)
    if carried is not None:
        return decorated(structure, carried), 'given'
    bare = _bare(structure)
    if radii == 'atomic':
        return bare, None
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            return BVAnalyzer().get_oxi_state_decorated_structure(bare), 'bond valence'
        except ValueError:
            return bare, None


def _ionic_radii(structure: Structure) -> dict[str, float] | None:
    """Return the ionic radius in Å of each species, None where one is not known."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # on radii of states between whole ones, of which we warn ourselves
        radii = {str(species): getattr(species, 'ionic_radius', None) for species in structure.composition}
    known = {name: float(radius) for name, radius in radii.items() if radius is not None}
    return known if len(known) == len(radii) else None


def _radii(structure: Structure, used: str) -> dict[str, float]:
    if used == 'ionic':
        return _ionic_radii(structure) or {}
    radii: dict[str, Any] = {str(species): species.atomic_radius for species in structure.composition}
    return {species: float(radius) for species, radius in radii.items()}


def _check_atomic_radii(*structures: Structure) -> None:
    for structure in structures:
        missing = [species.symbol for species in structure.composition if species.atomic_radius is None]
        if missing:
            raise ValueError(
                f'no radius of {missing[0]} is known, so the volume of {structure.composition.reduced_formula} cannot '
                'be predicted: relax the cell instead'
            )


def _why_atomic(own: Structure, own_source: str | None, other: Structure, other_source: str | None) -> str:
    for structure, source in ((own, own_source), (other, other_source)):
        formula = structure.composition.element_composition.reduced_formula
        if source is None:
            return f'the oxidation states of {formula} are not known (its bond valences fit none)'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            missing = [str(species) for species in structure.composition if species.ionic_radius is None]
        if missing:
            return f'there is no ionic radius of {", ".join(missing)} in {formula}'
    raise AssertionError('ionic radii are known')


def _split(own: Structure, other: Structure) -> list[str]:
    """Return a warning where a sum of atomic radii counts one element as several species, as pymatgen does."""
    for structure in (own, other):
        symbols = [species.symbol for species in structure.composition]
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            predictor = RLSVolumePredictor(check_isostructural=False, radii_type='atomic', use_bv=False)
            plain = float(predictor.predict(_bare(own), _bare(other)))
            return [
                f'{", ".join(twice)} stands for several species by its bond valences, which the sum over species '
                f'counts apart; by elements the volume is {plain:.1f} Å³ (radii atomic)'
            ]
    return []


def _doubts(own: Structure, other: Structure) -> list[str]:
    """Return warnings on oxidation states that no chemist would expect, so that neither are the radii."""
    notes = []
    means = [_mean_states(structure) for structure in (own, other)]
    for element in sorted(set(means[0]) & set(means[1])):
        derived, parent = means[0][element], means[1][element]
        if abs(derived - parent) > 1e-6 and not Element(element).is_transition_metal:
            notes.append(
                f'{element} is {parent:+g} in the parent and {derived:+g} in the derived crystal, which is doubtful: '
                'give oxidation states'
            )
    symbols = [[species.symbol for species in structure.composition] for structure in (own, other)]
    uneven = sorted({symbol for symbol in symbols[0] if symbols[1].count(symbol) not in {0, symbols[0].count(symbol)}})
    if uneven:
        notes.append(
            f'{", ".join(uneven)} has several oxidation states in one of the crystals only, and the sum over species '
            'counts them apart: the volume may be far off'
        )
    for structure in (own, other):
        for species in structure.composition:
            state = float(species.oxi_state or 0)
            if abs(state - round(state)) > 1e-6:
                whole = Species(species.symbol, int(state))
                notes.append(
                    f'no ionic radius of {species} is known: pymatgen takes that of {whole}, whose state is the next '
                    'nearer to 0; give whole states (such as localised ones), or take atomic radii, where it matters'
                )
        charge = structure.charge
        if abs(charge) > 1e-6:
            notes.append(
                f'the oxidation states of {structure.composition.element_composition.reduced_formula} add up to '
                f'{charge:+g} in the cell, not to 0'
            )
    return notes


def _mean_states(structure: Structure) -> dict[str, float]:
    states: dict[str, list[float]] = {}
    for site in structure:
        states.setdefault(site.specie.symbol, []).append(float(site.specie.oxi_state or 0))
    return {element: sum(values) / len(values) for element, values in states.items()}
