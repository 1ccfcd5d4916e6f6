"""Jobs that analyse predicted barriers, the file with their tables, and the folder with their page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import pandas as pd
from pydantic import Field

from aiida_embarrier.jobs.plain import PlainJob, PlainResult
from aiida_embarrier.jobs.schemas import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    'ANALYSIS_FILE',
    'EVALUATED',
    'FIGURES_FOLDER',
    'AnalysisFigures',
    'BarrierAnalysisJob',
    'BarrierAnalysisResult',
    'tables_from_json',
    'tables_to_json',
)

#: All tables of an analysis, see :func:`tables_to_json`.
ANALYSIS_FILE = 'barrier_analysis.json'
#: Folder with the page, pictures and tables, see :func:`~aiida_embarrier.figures.barrier_page.write_barrier_analysis`.
FIGURES_FOLDER = 'barrier_analysis'
#: Validation of rows that a model of elsewhere predicted: what it learned from is not known.
EVALUATED = 'evaluated'


class AnalysisFigures(Schema):
    """The page and the pictures of an analysis.

    :param title: heading of the page.
    :param source: what the page names as the source of the dataset.
    :param model: label of the model that is shown where only one can be; None for the best one.
    """

    title: str = 'Predicted migration barriers'
    source: str | None = None
    model: str | None = None


class BarrierAnalysisJob(PlainJob):
    """Predictions to analyse.

    :param dataset: file with the rows that were learned from and those that were predicted, of the schema `barrier`.
    :param predictions: file with predictions, as :data:`~aiida_embarrier.jobs.prediction.BARRIERS_FILE` has them.
    :param split: file with `name` and `part`, where models were fitted by one: what they learned from depends on it.
    :param n_resamples: of the bootstrap over rows.
    :param limits: between small, fair and large absolute errors, in eV.
    :param thresholds: in eV, below which a barrier counts as low.
    :param ranges: limits of ranges of known barriers, in eV.
    :param compare_hops: whether equivalent hops are sought for the report of what leaks.
    :param figures: what page and pictures are to show; None for tables alone.
    """

    job: Literal['barrier_analysis'] = 'barrier_analysis'
    dataset: str
    predictions: str
    split: str | None = None
    n_resamples: int = Field(2000, gt=0)
    limits: list[float] = Field(default_factory=lambda: [0.1, 0.3], min_length=1)
    thresholds: list[float] = Field(default_factory=lambda: [0.5, 0.65], min_length=1)
    ranges: list[float] = Field(default_factory=lambda: [0.25, 0.5, 1.0, 2.0], min_length=1)
    compare_hops: bool = True
    figures: AnalysisFigures | None = None


class BarrierAnalysisResult(PlainResult):
    """What was analysed; tables and figures lie beside it.

    :param n_rows: rows that were predicted.
    :param models: their labels.
    :param tables: names of the tables.
    :param figures: files in the folder with the figures, where such were asked for.
    """

    n_rows: int = 0
    models: list[str] = Field(default_factory=list)
    tables: list[str] = Field(default_factory=list)
    figures: list[str] = Field(default_factory=list)


def tables_to_json(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return tables as JSON: for each name the `columns` and the `data`, a list a row; what is not known is null."""
    content = {
        name: {
            'columns': list(table.columns),
            'data': table.astype(object).where(table.notna(), None).to_numpy().tolist(),
        }
        for name, table in tables.items()
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def tables_from_json(text: str) -> dict[str, pd.DataFrame]:
    """Return the tables that :func:`tables_to_json` wrote."""
    found = {name: pd.DataFrame(**content) for name, content in json.loads(text).items()}
    # nothing says what a column without any value holds: numbers are what a reader can calculate with
    return {
        name: table.astype(dict.fromkeys(table.columns[table.isna().all()], float)) for name, table in found.items()
    }
