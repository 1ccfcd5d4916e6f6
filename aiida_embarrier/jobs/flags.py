"""The flags that stand beside predicted barriers, and what they say."""

from __future__ import annotations

__all__ = ('FLAGS',)

#: What each flag says of a path.
FLAGS = {
    'unknown_ion': 'the training has no barrier of this ion',
    'unknown_element': 'the host has an element that no host of the training has',
    'no_anion': 'the host has no nonmetal, and so no anion',
    'short_hop': 'the ends of the path are nearer to each other than in any row of the training',
    'long_hop': 'the ends of the path are farther apart than in any row of the training',
    'bent_path': 'the path is longer, compared with the distance of its ends, than any of the training',
    'close_to_atom': 'the path comes nearer to another atom than any of the training: does it lead through one?',
    'far_from_atoms': 'the ion stays farther away from all other atoms than in any row of the training',
    'through_atom': 'the path leads through another atom, and no ion can go there: give points around it',
    'moved_host': 'another atom moves by more than 0.35 Å from end to end, and farther than in any row of the training',
    'second_mover': 'another atom moves as far as an ion does: barriers are predicted for one moving ion',
    'unlike_training': 'the numbers that describe the path are far from those of every row of the training',
    'not_described': 'a number that describes every row of the training could not be computed',
}
