"""The figure of what leaks."""

import pandas as pd
import pytest
from matplotlib.text import Text

from aiida_embarrier.datasets.leakage import CRITERIA
from aiida_embarrier.figures.leakage import leakage_shares


def summary(shares, part='test'):
    rows = [(part, key, round(50 * share), 50, share) for key, share in shares.items()]
    return pd.DataFrame(rows, columns=['part', 'criterion', 'n_shared', 'n_rows', 'fraction'])


def test_bars_are_the_shares():
    random = summary(dict(zip(CRITERIA, (0.1, 0.4, 0.3, 0.5, 0.6, 0.9, 0.7), strict=True)) | {'any': 0.9})
    family = summary(dict.fromkeys(CRITERIA, 0.0) | {'any': 0.0})
    figure = leakage_shares({'random': random, 'family': family})
    (axes,) = figure.axes
    first, second = axes.containers
    assert [round(bar.get_width()) for bar in first] == [10, 40, 30, 50, 60, 90, 70]
    assert {bar.get_width() for bar in second} == {0}
    assert [label.get_text() for label in axes.get_yticklabels()] == [key.replace('_', ' ') for key in CRITERIA]
    figure.draw_without_rendering()
    words = [text.get_text() for text in figure.findobj(Text)]
    assert 'random (50 rows)' in words
    assert '40' in words


def test_splits_without_the_part():
    folds = summary({'family': 0.5}, 'fold 0')
    figure = leakage_shares({'random': summary({'family': 0.2}), 'folds': folds})
    assert len(figure.axes[0].containers) == 1
    with pytest.raises(ValueError, match="no split has the part 'validation' to show"):
        leakage_shares({'folds': folds}, part='validation')
    with pytest.raises(ValueError, match='7 splits are too many for one figure'):
        leakage_shares({str(number): folds for number in range(7)}, part='fold 0')
