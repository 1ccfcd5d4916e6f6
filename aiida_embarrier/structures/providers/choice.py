"""A provider by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida_embarrier.structures.providers.base import Provider

__all__ = ('PROVIDERS', 'make_provider')

PROVIDERS = ('folder', 'materials_project', 'optimade')


def make_provider(
    name: str,
    folder: str | None = None,
    base_url: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Provider:
    """Return a provider.

    :param name: one of :data:`PROVIDERS`.
    :param folder: of `folder`: its path.
    :param base_url: of `optimade`: its address. That of the Materials Project is no setting, for its key goes there.
    :param progress: called by those that take long with how much is done, and how much there is.
    :raises ValueError: for an unknown name, and where the folder or address is missing or has no use.
    :raises ProviderError: where there is no such folder, or no key.
    """
    if name not in PROVIDERS:
        raise ValueError(f'there is no provider {name!r}: choose from {", ".join(PROVIDERS)}')
    for setting, value, user in (('folder', folder, 'folder'), ('base_url', base_url, 'optimade')):
        if (value is not None) != (name == user):
            verb = 'needs' if name == user else 'has no use for'
            raise ValueError(f'the provider {name} {verb} the setting {setting}')
    if name == 'folder':
        from aiida_embarrier.structures.providers.folder import FolderProvider

        return FolderProvider(str(folder), progress)
    if name == 'optimade':
        from aiida_embarrier.structures.providers.optimade import OptimadeProvider

        return OptimadeProvider(str(base_url))
    from aiida_embarrier.structures.providers.materials_project import MaterialsProjectProvider

    return MaterialsProjectProvider()
