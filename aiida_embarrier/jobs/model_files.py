"""The two files of a model, its weights and its card, checked without torch.

Weights are safetensors: eight bytes that say how long the header is, the header in JSON, and the numbers. It is read
here by hand, as https://github.com/huggingface/safetensors describes it, so that a daemon can check a model.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from aiida_embarrier import __version__
from aiida_embarrier.jobs.learning import ModelCard
from aiida_embarrier.jobs.messages import describe
from aiida_embarrier.jobs.prediction import BarrierModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    'STATISTICS',
    'AnyCard',
    'ModelFilesError',
    'TensorEntry',
    'barrier_card',
    'check_model_files',
    'parse_any_card',
    'parse_card',
    'read_any_model_files',
    'read_model_files',
    'read_tensor_entries',
    'replace_file',
)

#: What a model says of itself: one of properties of crystals, or one of migration barriers.
AnyCard = ModelCard | BarrierModelCard

#: Types that weights of networks have, by their names in safetensors: numbers, and counts of batches that were seen.
_DTYPES: dict[str, np.dtype] = {'F32': np.dtype('<f4'), 'I64': np.dtype('<i8')}
#: Those that the arrays of models of barriers may have, too: trees count their branches with small numbers.
_DTYPES_OF_BARRIERS = _DTYPES | {
    'F64': np.dtype('<f8'),
    'I32': np.dtype('<i4'),
    'I16': np.dtype('<i2'),
    'I8': np.dtype('i1'),
    'U8': np.dtype('u1'),
    'BOOL': np.dtype('?'),
}
#: What the weights hold beside parameters: the statistics of batch normalisation, by the ends of their names.
STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
#: The longest header that the format allows, in bytes.
_LONGEST_HEADER = 100_000_000


class ModelFilesError(ValueError):
    """The files of a model cannot be read, or do not belong to each other."""


@dataclass(frozen=True)
class TensorEntry:
    """What the header of weights says of one tensor.

    :param dtype: type of its numbers as safetensors names it.
    :param shape: its shape.
    :param start: where its numbers begin in the file, in bytes.
    :param stop: where they end.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of its numbers."""
        return math.prod(self.shape)


def parse_card(text: str) -> ModelCard:
    """Return what the card of a model of properties says.

    :raises ModelFilesError: for what is no card of this version, and for that of a model of barriers.
    """
    card = parse_any_card(text)
    if isinstance(card, BarrierModelCard):
        raise ModelFilesError(
            'this model predicts migration barriers of paths, not properties of crystals: `predict '
            '--model` takes it with a crystal and its --ion, with two ends or with a dataset of paths, '
            '`embarrier.predict_barriers` with a table of paths'
        )
    return card


def parse_any_card(text: str) -> AnyCard:
    """Return what a card says.

    :raises ModelFilesError: for what is no card of this version.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFilesError(
            f'the card of the model is not JSON ({error}): take model.json as it was written'
        ) from error
    known = ModelCard.model_fields['format'].default
    found = entries.get('format') if isinstance(entries, dict) else None
    if found != known:
        raise ModelFilesError(
            f'the card has the format {found!r}, not {known!r}: take model.json of a model of aiida-embarrier, and the '
            'version of aiida-embarrier that wrote it, or a newer one'
        )
    try:
        schema = BarrierModelCard if entries.get('kind') == 'barrier' else ModelCard
        return schema.model_validate(entries)
    except ValidationError as error:
        raise ModelFilesError(
            f'the card of the model does not hold what it should: {describe(error)}{_written_by(entries)}'
        ) from error


def _written_by(entries: dict[str, Any]) -> str:
    """Return what to do about a card of another version, the end of a message; nothing for one of this version."""
    versions = entries.get('versions')
    found = versions.get('aiida-embarrier') if isinstance(versions, dict) else None
    if found in {None, __version__}:
        return ''
    return f'; aiida-embarrier {found} wrote it, here is {__version__}: install that version'


def barrier_card(card: AnyCard) -> BarrierModelCard:
    """Return the card of a model of barriers.

    :raises ModelFilesError: for that of a model of properties.
    """
    if isinstance(card, BarrierModelCard):
        return card
    raise ModelFilesError(
        f'this model predicts {", ".join(card.labels)} of crystals, not migration barriers: predict with '
        "`predict MODEL FILE` or `embarrier.predict`, or take a model of barriers, such as 'released'"
    )


def read_model_files(folder: Path, stem: str = 'model') -> tuple[bytes, ModelCard]:
    """Return the weights and the card of the model of properties in a folder, both checked.

    :param stem: name of its files without their endings.
    :raises ModelFilesError: where a file is missing, and as :func:`check_model_files` says.
    """
    text = _read(folder, f'{stem}.json').decode(errors='replace')
    weights = _read(folder, f'{stem}.safetensors')
    parse_card(text)
    check_model_files(weights, text)
    return weights, parse_card(text)


def read_any_model_files(folder: Path, stem: str = 'model') -> tuple[bytes, AnyCard]:
    """Return the weights and the card of the model in a folder, both checked; as :func:`read_model_files`."""
    text = _read(folder, f'{stem}.json').decode(errors='replace')
    weights = _read(folder, f'{stem}.safetensors')
    return weights, check_model_files(weights, text)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ModelFilesError(
            f'there is no file {name} to be read in {folder} ({error.strerror}): a model is its weights and its card'
        ) from error


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it meanwhile finds it whole, as it was or as it is to be.

    :raises OSError: where it cannot be written.
    """
    partial = path.with_name(f'{path.name}.partial')
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def read_tensor_entries(content: bytes, dtypes: Mapping[str, np.dtype] = _DTYPES) -> dict[str, TensorEntry]:
    """Return what weights hold, by name, after checking that the file is whole.

    :param content: of the safetensors file.
    :param dtypes: types that its numbers may have.
    :raises ModelFilesError: for another format, a truncated file, and numbers of another type.
    """
    if len(content) < 8:
        raise ModelFilesError(f'the weights are no safetensors file: {len(content)} bytes are too few for one')
    length = int.from_bytes(content[:8], 'little')
    begin = 8 + length
    if length > _LONGEST_HEADER or content[8:9] not in {b'{', b''}:
        raise ModelFilesError(
            'the weights are no safetensors file: take model.safetensors of a model; files of torch.save are not read, '
            'as reading them can execute what they hold'
        )
    if len(content) < begin:
        raise ModelFilesError(_truncated(len(content), begin))
    try:
        header = json.loads(content[8:begin])
        header.pop('__metadata__', None)
        entries = {name: _entry(value, begin) for name, value in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFilesError(f'the header of the weights cannot be read ({error}): the file was altered') from error
    _check_places(entries, begin, len(content), dtypes)
    return entries


def _entry(value: dict[str, Any], begin: int) -> TensorEntry:
    start, stop = value['data_offsets']
    return TensorEntry(
        str(value['dtype']), tuple(int(n) for n in value['shape']), begin + int(start), begin + int(stop)
    )


def _check_places(entries: dict[str, TensorEntry], begin: int, length: int, dtypes: Mapping[str, np.dtype]) -> None:
    """Check that tensors lie one behind the other and fill the file."""
    place = begin
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.dtype not in dtypes:
            raise ModelFilesError(f'{name} holds numbers of the type {entry.dtype}, not {" or ".join(dtypes)}')
        if entry.start != place or entry.stop - entry.start != entry.size * dtypes[entry.dtype].itemsize:
            raise ModelFilesError(f'the numbers of {name} do not lie where they should: the weights were altered')
        place = entry.stop
    if length < place:
        raise ModelFilesError(_truncated(length, place))
    if length > place:
        raise ModelFilesError(f'the weights have {length - place} bytes too many: the file was altered')


def _truncated(found: int, expected: int) -> str:
    return f'the weights are truncated, {found} of at least {expected} bytes are there: copy the file again'


def check_model_files(weights: bytes | Path, card: str) -> AnyCard:
    """Check that weights and a card are whole and belong to each other.

    Whether the weights fit the architecture tensor by tensor is checked where the model is made
    (:func:`aiida_embarrier.learning.model_files.read_model`).

    :param weights: content of the safetensors file, or the file.
    :param card: text of the card.
    :returns: the card.
    :raises ModelFilesError: for files that are truncated or altered, belong to different models, have another format,
        or hold numbers that are not finite; of models of barriers, whose thresholds may be infinite, that are none.
    """
    content = weights.read_bytes() if isinstance(weights, Path) else weights
    found = parse_any_card(card)
    barriers = isinstance(found, BarrierModelCard)
    entries = read_tensor_entries(content, _DTYPES_OF_BARRIERS if barriers else _DTYPES)
    sha256 = hashlib.sha256(content).hexdigest()
    if found.weights_sha256 != sha256:
        raise ModelFilesError(
            f'the sha256 of the weights is {sha256}, the card says {found.weights_sha256}: the weights were altered, '
            'or belong to another model'
        )
    if isinstance(found, ModelCard):
        _check_heads(entries, found)
    n_parameters = sum(entry.size for name, entry in entries.items() if not name.endswith(STATISTICS))
    if n_parameters != found.n_parameters:
        raise ModelFilesError(f'the weights have {n_parameters} parameters, the card says {found.n_parameters}')
    for name, entry in entries.items():
        numbers = np.frombuffer(content, _DTYPES_OF_BARRIERS[entry.dtype], entry.size, entry.start)
        # a tree takes a row past a threshold that is no number to the right, as if nothing were wrong
        if np.isnan(numbers).any() if barriers else not np.isfinite(numbers).all():
            raise ModelFilesError(f'{name} holds numbers that are not finite: the training diverged')
    return found


def _check_heads(entries: dict[str, TensorEntry], card: ModelCard) -> None:
    heads = {name.split('.')[1] for name in entries if name.startswith('heads.')}
    if sorted(heads) != sorted(card.labels):
        raise ModelFilesError(
            f'the weights have heads for {", ".join(sorted(heads)) or "nothing"}, the card speaks of '
            f'{", ".join(card.labels)}: they belong to different models'
        )
