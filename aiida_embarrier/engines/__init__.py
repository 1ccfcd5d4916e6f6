"""One file or package per engine: its relax and NEB work chains, its functionals and its protocol."""
