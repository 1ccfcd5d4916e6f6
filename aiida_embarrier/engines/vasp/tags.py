"""The tags that VASP knows: it passes over those that it does not, so that a misspelt one would change nothing."""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib.resources import files

__all__ = ('check_tag',)

#: Tags of the VTST patch.
VTST = """
DDR DFNMAX DFNMIN DROTMAX EFIRST ELAST FALPHA FALPHADEC FDSTEP FNMIN FTIMEDEC FTIMEINC FTIMEMAX ICHAIN ILBFGSMEM
INVCURV IOPT JACOBIAN LAUTOSCALE LCLIMB LDNEB LGLOBAL LINEOPT LLINEOPT LNEBCELL LTANGENTOLD MAXMOVE SDALPHA STOL
TIMESTEP
"""

#: Tags of VASP, of its later versions above all, and of VASPsol that the list of pymatgen does not have.
FURTHER = """
AMGGAC AMGGAX BEXT BPARAM CPARAM EB_K EFERMI IBSE KERNEL_TRUNCATION KPOINTS_OPT LAMBDA_D_K LCHARGH5 LFOCKACE LH5 LIBXC1
LIBXC2 LKPOINTS_OPT LMP2LT LPHON_DISPERSION LPHON_POLAR LPHON_READ_FORCE_CONSTANTS LSCK LSFBXC LSMP2LT LTBOUNDLIBXC
LUSENCCL LVDWSCS LVDW_ONECELL LVDW_SAMETYPE LWAVEH5 LWEIGHTED ML_CTIFOR ML_IALGO_LINREG ML_ICRITERIA ML_LFAST ML_LHEAT
ML_LMLFF ML_RCUT1 ML_RCUT2 ML_SION1 ML_SION2 NBSEBLOCK NCORE_IN_IMAGE1 NCSHMEM NC_K NELMGW NUM_WANN PHON_DIELECTRIC
PHON_DOS PHON_G_CUTOFF PHON_NEDOS PHON_SIGMA SCALEE SIGMA_K TAU TAUPAR TEIN VCA VDW_ALPHA VDW_ALPHAAU VDW_C6AU
VDW_IDAMPF
VDW_MBD_SIZE VDW_R0AU WANNIER90_WIN XC XC_C
"""


@cache
def known_tags() -> frozenset[str]:
    """Return the tags of VASP in capitals: those that pymatgen lists, and more."""
    listed = json.loads(files('pymatgen.io.vasp').joinpath('incar_parameters.json').read_text('utf8'))
    return frozenset(listed) | frozenset(VTST.split()) | frozenset(FURTHER.split())


def check_tag(tag: str) -> None:
    """Check that VASP has a tag.

    :param tag: in capitals.
    :raises ValueError: where it has none of this name, with the closest one.
    """
    if tag in known_tags():
        return
    similar = difflib.get_close_matches(tag, sorted(known_tags()), n=1)
    raise ValueError(f'incar: VASP has no tag {tag}{f": did you mean {similar[0]}?" if similar else ""}')
