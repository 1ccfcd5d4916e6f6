"""Settings of the documentation: `make docs`."""

from __future__ import annotations

import os
import sys
import typing
import warnings
from pathlib import Path

from aiida import load_profile
from aiida.common.warnings import AiidaDeprecationWarning
from aiida.storage.sqlite_temp import SqliteTempBackend

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from barrier_figures import draw_figures  # noqa: E402

import aiida_embarrier  # noqa: E402

# The directives for processes load classes that need a profile; this one is in memory and gone when the build ends.
load_profile(SqliteTempBackend.create_profile('docs'), allow_switch=True)

# autodoc looks at every attribute of the base classes, deprecated ones too.
warnings.simplefilter('ignore', AiidaDeprecationWarning)

# The figures are drawn anew with every build, so that they show what the code computes.
draw_figures(HERE / '_generated')

project = 'aiida-embarrier'
author = 'The aiida-embarrier developers'
copyright = '2026, The aiida-embarrier developers'
version = release = aiida_embarrier.__version__

extensions = [
    'aiida.sphinxext',
    'myst_parser',
    'sphinx.ext.apidoc',
    'sphinx.ext.autodoc',
    'sphinx.ext.mathjax',
    'sphinx_click',
]
exclude_patterns = ['_build', '_generated', 'Thumbs.db']
# In our docstrings single backticks are code.
default_role = 'code'

myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 3

# What a package imports from its modules is described once, in its module. The setting is for modules; for packages
# Sphinx 9.0 reads the environment variable only.
apidoc_automodule_options = ['members', 'show-inheritance', 'ignore-module-all']
os.environ['SPHINX_APIDOC_OPTIONS'] = ','.join(apidoc_automodule_options)
apidoc_modules = [
    {
        'path': '../aiida_embarrier',
        'destination': 'reference/modules',
        'separate_modules': True,
        'module_first': True,
        'exclude_patterns': ['../aiida_embarrier/cli'],
    }
]
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_type_aliases = {'ArrayLike': 'ArrayLike'}

# Every reference to something of ours must lead somewhere; names of other packages cannot be looked up without network.
nitpicky = True
nitpick_ignore_regex = [
    ('py:.*', r'(?!aiida_embarrier\.).*'),
    ('py:class', r'.*\._\w+'),  # private base classes
    ('py:class', r'.*\.Attributes\w+Model'),  # AiiDA derives them
]
# Classes of one name in two rooms (`Target`, `Plan`, `Cell`): annotations name them without their module.
suppress_warnings = ['ref.python']

html_theme = 'furo'
html_title = f'aiida-embarrier {release}'
html_show_sourcelink = False


def skip_annotated_aliases(_app, _what, _name, obj, skip, _options):
    """Leave out aliases such as `Label`: autodoc prints their validation patterns as markup."""
    return True if typing.get_origin(obj) is typing.Annotated else skip


def setup(app):
    app.connect('autodoc-skip-member', skip_annotated_aliases)
