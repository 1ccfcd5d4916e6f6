"""Which interatomic potential a job uses, exactly: name, model, weights with their sha256, version of the package."""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from aiida_embarrier.jobs.messages import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ('KNOWN_MODELS', 'KnownModel', 'PotentialSpec', 'file_sha256', 'resolve_potential')


@dataclass(frozen=True)
class KnownModel:
    """A model whose weights come inside the wheel of a package.

    :param distribution: name of the distribution on PyPI, also the name of its Python package.
    :param weights: path of the weights inside the package.
    :param sha256: of the weights as released.
    :param functional: functional of the data that the model was trained on.
    :param modal: for models of several fidelities: the name of the one to use.
    """

    distribution: str
    weights: str
    sha256: str
    functional: str
    modal: str | None = None


#: (potential, model) -> where its weights are and what they must be. The first model of a potential is its default.
KNOWN_MODELS: dict[tuple[str, str], KnownModel] = {
    ('chgnet', '0.3.0'): KnownModel(
        'chgnet',
        'pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar',
        'd14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1',
        'PBE/PBE+U (MPtrj)',
    ),
    ('chgnet', 'r2scan'): KnownModel(
        'chgnet',
        'pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar',
        '8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad',
        'r2SCAN (MP-r2SCAN)',
    ),
    ('sevennet', '7net-0'): KnownModel(
        'sevenn',
        'pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth',
        '7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36',
        'PBE/PBE+U (MPtrj)',
    ),
    ('sevennet', '7net-l3i5'): KnownModel(
        'sevenn',
        'pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth',
        'a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d',
        'PBE/PBE+U (MPtrj)',
    ),
    ('sevennet', '7net-mf-0'): KnownModel(
        'sevenn',
        'pretrained_potentials/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth',
        '81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd',
        'PBE/PBE+U (MPtrj), modality PBE',
        modal='PBE',
    ),
}


class PotentialSpec(BaseModel):
    """An interatomic potential, pinned.

    :param name: `chgnet`, `sevennet`, or `ase` for any ASE calculator.
    :param model: model of a known potential; for `ase` a name of your choice that stands in results.
    :param calculator: for `ase`: `module:callable` that returns an ASE calculator.
    :param arguments: keyword arguments of that callable.
    :param weights: for `ase`: path of the weights on the machine that runs the job, None if there are none.
    :param weights_argument: name of the keyword argument that takes the path of the weights.
    :param sha256: of the weights; checked by the worker before anything reads them.
    :param distribution: distribution that implements the potential; where it is open the worker looks for it.
    :param version: version of that distribution; checked by the worker, which fills in its own where it is open.
    :param functional: functional of the data that the potential was trained on.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    name: str
    model: str
    calculator: str | None = None
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    weights: str | None = None
    weights_argument: str | None = None
    sha256: str | None = None
    distribution: str | None = None
    version: str | None = None
    functional: str | None = None

    @property
    def label(self) -> str:
        """Name and model in one word, for instance `chgnet-0.3.0`."""
        return f'{self.name}-{self.model}' if self.name != 'ase' else self.model

    @model_validator(mode='after')
    def _check(self) -> PotentialSpec:
        names = sorted({name for name, _ in KNOWN_MODELS})
        if self.name == 'ase':
            if self.calculator is None or self.calculator.count(':') != 1:
                raise ValueError(
                    "the potential 'ase' needs `calculator` as 'module:callable', "
                    f"for instance 'ase.calculators.emt:EMT'; got {self.calculator!r}"
                )
            if self.weights is not None and (self.sha256 is None or self.weights_argument is None):
                raise ValueError('weights need their sha256 and `weights_argument`, the argument that takes their path')
        elif (self.name, self.model) not in KNOWN_MODELS:
            models = [model for name, model in KNOWN_MODELS if name == self.name]
            if not models:
                close = difflib.get_close_matches(self.name, names, n=1)
                meant = f'did you mean {close[0]!r}? There are' if close else 'choose one of'
                raise ValueError(f'unknown potential {self.name!r}: {meant} {", ".join([*names, "ase"])}')
            raise ValueError(f'{self.name} has no model {self.model!r}: choose one of {", ".join(models)}')
        return self


def resolve_potential(name: str = 'chgnet', model: str | None = None, **entries: Any) -> PotentialSpec:
    """Return a pinned potential: default model, sha256 of the weights and version of the package filled in.

    The sha256 of a known model is that of its release, so nothing has to be installed where a job is prepared. The
    version is that of the distribution installed here, if any; else it stays open, and the worker records its own. For
    `ase` the distribution is that which the module of the calculator is installed from here, open where there is none.

    :param name: `chgnet`, `sevennet` or `ase`.
    :param model: None for the default model.
    :param entries: further entries of :class:`PotentialSpec`.
    :raises ValueError: for unknown names and models, and for weights that cannot be read here and have no sha256.
    """
    if name == 'ase':
        weights = entries.get('weights')
        if weights is not None and entries.get('sha256') is None:
            if not Path(weights).is_file():
                raise ValueError(f'the weights {weights!r} cannot be read here: give their sha256')
            entries['sha256'] = file_sha256(Path(weights))
        calculator = str(entries.get('calculator') or '')
        if 'distribution' not in entries:
            entries['distribution'] = distribution_of(calculator)
        entries.setdefault('version', _installed_version(entries['distribution']))
        return _spec(name=name, model=model or calculator.split(':')[-1] or 'ase', **entries)
    models = [known for potential, known in KNOWN_MODELS if potential == name]
    model = model or (models[0] if models else '')
    spec = _spec(name=name, model=model, **entries)
    known = KNOWN_MODELS[name, model]
    return spec.model_copy(
        update={
            'sha256': spec.sha256 or known.sha256,
            'distribution': known.distribution,
            'version': spec.version or _installed_version(known.distribution),
            'functional': spec.functional or known.functional,
        }
    )


def _spec(**entries: Any) -> PotentialSpec:
    try:
        return PotentialSpec(**entries)
    except ValidationError as error:
        raise ValueError(f'potential: {describe(error)}') from error


def weights_path(spec: PotentialSpec) -> Path | None:
    """Return where the weights of a potential lie on this machine, without importing its package; None if it has none.

    :raises ModuleNotFoundError: where the package of a known potential is not installed.
    """
    if spec.name == 'ase':
        return None if spec.weights is None else Path(spec.weights)
    known = KNOWN_MODELS[spec.name, spec.model]
    found = importlib.util.find_spec(known.distribution)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            f'the potential {spec.label} needs the package {known.distribution}: '
            "install it with `pip install 'aiida-embarrier[potential]'`"
        )
    return Path(found.origin).parent / known.weights


def distribution_of(calculator: str) -> str | None:
    """Return the distribution that a calculator is installed from on this machine, for instance `mace-torch` of `mace`.

    The first call takes a third of a second; what is installed later in the life of a process is not seen.

    :param calculator: `module:callable`.
    :returns: None where no distribution has the module, as with one of the user's own, and where several share its
        top-level package: then it has to be named.
    """
    package = calculator.split(':')[0].split('.')[0]
    names = set(_distributions().get(package, []))
    return names.pop() if len(names) == 1 else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open('rb') as handle:
        return hashlib.file_digest(handle, 'sha256').hexdigest()


def _installed_version(distribution: str | None) -> str | None:
    if distribution is None:
        return None
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
