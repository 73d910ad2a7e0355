"""Protein structures: clean, type the atoms, and find candidate pockets."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.preprocess.protein.params import PreprocessParams

STAGE = Stage(
    name="preprocess protein",
    summary="Protein structures: clean, type the atoms, and find candidate pockets.\n\n"
    "Reads PDB, mmCIF, PDBQT and mol2, also gzipped; keeps the author's numbering; reports what was left out.",
    params=PreprocessParams,
    run=lazy("medtools.preprocess.protein.steps", "run"),
    inputs="Structures, folders of them (scPDB and PDBbind layouts too), or manifests; default: the current folder.",
    cohort=True,
    example="medtools preprocess protein structures/ --out pockets/",
)
