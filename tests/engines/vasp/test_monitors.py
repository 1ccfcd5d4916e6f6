"""The monitor stops what diverges, and reads the files of images."""

from types import SimpleNamespace

import pytest
from aiida.transports.plugins.local import LocalTransport

from aiida_embarrier.data.band import BandData
from aiida_embarrier.engines.vasp.monitors import watch_energies

LINE = '{number:4d} F= {energy} E0= {energy}  d E =-.1E+00  mag=     0.0000\n'


def oszicar(*energies):
    head = '       N       E                     dE             d eps       ncg     rms          rms(c)\n'
    return ''.join(head + LINE.format(number=number, energy=energy) for number, energy in enumerate(energies, start=1))


@pytest.fixture
def watch(tmp_path, skewed_band, aiida_profile):
    """Return a function that lets the monitor look at files of a running job."""

    def look(files, band=True, **options):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        inputs = _Inputs(band=BandData(skewed_band)) if band else _Inputs()
        node = SimpleNamespace(inputs=inputs, get_remote_workdir=lambda: str(tmp_path))
        with LocalTransport() as transport:
            return watch_energies(node, transport, **options)

    return look


class _Inputs(dict):
    """Inputs as those of a node: `in` looks for names, which are attributes."""

    __getattr__ = dict.__getitem__


def test_a_job_that_goes_well_or_has_not_begun(watch):
    assert watch({}) is None
    assert watch({'01/OSZICAR': oszicar('-.71934E+02', '-.72E+02'), '02/OSZICAR': '', '03/OSZICAR': oszicar()}) is None


@pytest.mark.parametrize(
    ('energies', 'message'),
    [
        (('-.7E+02', 'NaN'), 'the energy of ionic step 2 is no number'),
        (('-.7E+02', '***************'), 'the energy of ionic step 2 is no number'),
        (('-.7E+02', '-.71E+02', '0.3E+03'), r'the energy of ionic step 3 differs by \+370 eV'),
    ],
)
def test_what_diverges_is_stopped(watch, energies, message):
    import re

    found = watch({'01/OSZICAR': oszicar('-.7E+02'), '03/OSZICAR': oszicar(*energies)})
    assert found.startswith('03/OSZICAR: ')
    assert re.search(message, found)


def test_a_single_structure(watch):
    files = {'OSZICAR': oszicar('-.7E+02', '-.1E+03')}
    assert watch(files, band=False) is None
    assert 'differs by -30 eV' in watch(files, band=False, max_energy_change=20)
