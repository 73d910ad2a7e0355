"""Run folders: a folder per fold with its network and test predictions, and beside them a final network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.stage import Job, Sample
from medtools.core.tables import read_tsv
from medtools.training.checkpoint import Checkpoint, load_checkpoint
from medtools.training.splits import Split

FINAL = "final"
"""Name of the network that is trained on everyone, for new data; the run folder itself is its folder."""

MODEL = "model.ckpt"
SPLITS = "splits.tsv"


def fold_name(split: Split) -> str:
    """Return the name of a fold, counted from 1: `r1f1` is the first fold of the first repeat."""
    return f"r{split.repeat + 1}f{split.fold + 1}"


def train_folds(
    job: Job,
    names: Iterable[str],
    reads: Sequence[Path],
    train: Callable[[str, Path], Iterable[Path]],
    *,
    final: bool = False,
) -> None:
    """Train every fold as a sample of the stage, so that folds resume and run as parallel jobs.

    Parameters
    ----------
    job : Job
    names : iterable of str
        Folds.
    reads : sequence of Path
        Files that decide the training.
    train : callable
        Trains the fold of a name into a folder, and returns what it wrote there.
    final : bool
        Also train `FINAL`.
    """
    samples = [Sample(name, tuple(reads), job.out / "folds" / name / "train.json") for name in names]
    if final:
        samples.append(Sample(FINAL, tuple(reads), job.out / "final.json"))

    def one(sample: Sample) -> Iterable[Path]:
        return train(sample.id, job.out if sample.id == FINAL else sample.record.parent)

    job.for_each(samples, one, "folds")


def fold_folder(run: Path, fold: str) -> Path:
    """Return the folder of a fold.

    Raises
    ------
    InputError
        It has no network.
    """
    folder = run / "folds" / fold
    if not (folder / MODEL).is_file():
        raise InputError(run, f"has no trained network of fold {fold!r}", "train it, or choose another by --fold")
    return folder


def seen_in_training(folder: Path, ids: Sequence[str]) -> int:
    """Count the samples, by identifier, on which the network of a folder was trained: a final one, or a fold's."""
    name, run = (FINAL, folder) if folder.parent.name != "folds" else (folder.name, folder.parent.parent)
    if not (run / SPLITS).is_file():
        return 0
    _, rows = read_tsv(run / SPLITS)
    if name != FINAL:
        rows = [r for r in rows if f"r{int(r['repeat']) + 1}f{int(r['fold']) + 1}" == name and r["split"] == "train"]
    return len({row["id"] for row in rows} & set(ids))


def read_model(folder: Path, system: str) -> Checkpoint:
    """Read a network of a run folder or of one of its folds.

    Raises
    ------
    InputError
        No model file, or one of another system.
    """
    checkpoint = load_checkpoint(folder / MODEL)
    if checkpoint.params.get("system") != system:
        raise InputError(folder / MODEL, f"is a model of {checkpoint.params.get('system')!r}", f"give one of {system}")
    return checkpoint
