"""Codes of the programs that stand in for real ones in tests of several engines."""

import pytest

#: Elements of the crystals in these tests.
ELEMENTS = {'Al', 'Li', 'Mg', 'Mn', 'O'}


@pytest.fixture
def vasp_potcars(aiida_profile, tmp_path_factory):
    """Make a POTCAR family of invented potentials in the profile of the tests, and return its label."""
    from aiida_vasp.data.potcar import PotcarData
    from emulators.vasp.setup import FAMILY, upload_family

    # other tests of the session may have made the family for other elements
    group = PotcarData.get_potcar_group(FAMILY)
    if group is None or not {node.element for node in group.nodes} >= ELEMENTS:
        upload_family(tmp_path_factory.mktemp('potcars'), sorted(ELEMENTS))
    return FAMILY


@pytest.fixture
def vasp_code(vasp_potcars, aiida_localhost, tmp_path_factory):
    """Return a factory of codes of the stand-in for VASP, by what it is asked to do (README.md of the stand-in)."""
    from aiida.orm import InstalledCode
    from emulators.vasp.setup import write_executable

    def make(**emulation):
        folder = tmp_path_factory.mktemp('vasp')
        return InstalledCode(
            label=folder.name,
            computer=aiida_localhost,
            filepath_executable=str(write_executable(folder, emulation)),
            default_calc_job_plugin='vasp.vasp',
            with_mpi=False,
        ).store()

    return make


@pytest.fixture
def working_vasp(vasp_code):
    """Return a code of the stand-in for VASP that does nothing wrong."""
    return vasp_code()
