"""What the barriers of a dataset are: the definitions that its rows name, counted and in words.

Models learn what they are given: a model of rows of one definition predicts barriers of this definition. So the counts
go with a model, and the names with its predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = (
    'DEFINITIONS',
    'UNSTATED',
    'definition_of_rows',
    'definitions_in_words',
    'definitions_of',
    'names_of_definitions',
)

#: The definition of a published barrier whose source does not state one, and of a row that names none.
UNSTATED = 'literature'

#: Definitions of barriers that rows may name; :mod:`aiida_embarrier.bands.barriers` has the formulas.
DEFINITIONS = {
    'forward': 'the highest energy along the path less that of its first state',
    'reverse': 'the highest energy along the path less that of its last state',
    'rate_limiting': 'the largest rise of the energy from any point of the path to a later one',
    'span': 'the highest energy along the path less the lowest one',
    UNSTATED: 'as the literature gives it, definition and direction mostly not recorded',
}


def definition_of_rows(frame: pd.DataFrame) -> pd.Series:
    """Return the definition of the barrier of each row of a dataset."""
    import pandas as pd

    if 'barrier_definition' not in frame:
        return pd.Series(UNSTATED, index=frame.index, dtype='str')
    return frame['barrier_definition'].astype('str').fillna(UNSTATED)


def definitions_of(frame: pd.DataFrame) -> dict[str, int]:
    """Return the definitions of the barriers of a dataset with the numbers of their rows, the most frequent first."""
    return {str(name): int(n) for name, n in definition_of_rows(frame).value_counts().items()}


def names_of_definitions(definitions: Mapping[str, int]) -> str | None:
    """Return the names of definitions as they stand beside a prediction; None where none is known."""
    return ', '.join(definitions) or None


def definitions_in_words(definitions: Mapping[str, int]) -> str:
    """Return what barriers of these definitions are, for people."""
    if not definitions:
        return 'not recorded'
    if len(definitions) == 1:
        (name,) = definitions
        return f'{DEFINITIONS[name]} ({name})'
    parts = [f'{name} ({n} rows): {DEFINITIONS[name]}' for name, n in definitions.items()]
    return f'mixed; {"; ".join(parts)}'
