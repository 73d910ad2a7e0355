"""What the fMRI systems reach on their synthetic cohorts, beside baselines and ablations, seed by seed.

    python benchmarks/seeds.py mci-homology|asd-transformer [--seeds 0,1,2] [--only NAME,...] [--work FOLDER]

Prints one Markdown row per variant: AUROC (accuracy) of each seed, on subjects that were not trained on. Finished runs
in the work folder are not repeated. One thread; half an hour to an hour per system.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from medtools.core.tables import read_tsv

_CV = ("--network", "CB", "--protocol", "cv", "--repeats", "1", "--epochs", "50")
_STEPS_OF_THE_PAPER = ("--batch", "16", "--epochs", "50", "--learning-rate", "4e-4", "--final-learning-rate", "4e-5")
MCI = {
    f"{task}, {name}": ("--task", task, *words, *_CV)
    for task in ("HC:EMCI", "HC:LMCI", "EMCI:LMCI")
    for name, words in {
        "CNN": ("--model", "cnn"),
        "random forest": ("--model", "random-forest"),
        "logistic regression": ("--model", "logistic-regression"),
        "logistic regression of FC": ("--model", "logistic-regression", "--features", "fc"),
        "random forest of FC": ("--model", "random-forest", "--features", "fc"),
        "majority": ("--model", "majority"),
    }.items()
} | {
    "HC:LMCI, CNN, 1-D branch": ("--task", "HC:LMCI", "--branches", "1d", *_CV),
    "HC:LMCI, CNN, 2-D branch": ("--task", "HC:LMCI", "--branches", "2d", *_CV),
    "HC:LMCI, CNN, H1": ("--task", "HC:LMCI", "--dim", "1", *_CV),
    "HC:LMCI, CNN, H2": ("--task", "HC:LMCI", "--dim", "2", *_CV),
    "HC:LMCI, CNN of FC": ("--task", "HC:LMCI", "--features", "fc", *_CV),
    "HC:LMCI, DenseNet-121": (
        "--task", "HC:LMCI", "--model", "densenet121", "--network", "CB", "--protocol", "paper",
        "--epochs", "10", "--batch", "8",
    ),
}  # fmt: skip
ASD = {
    "proposed": _STEPS_OF_THE_PAPER,
    "without weighting": (*_STEPS_OF_THE_PAPER, "--weighting", "none"),
    "without interaction": (*_STEPS_OF_THE_PAPER, "--interaction", "none"),
    "without ComBat": (*_STEPS_OF_THE_PAPER, "--harmonise", "none"),
    "logistic regression": ("--model", "logistic-regression"),
    "mean connectivity": ("--model", "mean-fc"),
    "site only": ("--model", "site-only"),
    "majority": ("--model", "majority"),
}


def medtools(*words: str | Path) -> None:
    """Run a command; its folder is reused where it stands."""
    subprocess.run(
        [Path(sys.executable).with_name("medtools"), *map(str, words)], check=True, stderr=subprocess.DEVNULL
    )


def prepared(system: str, work: Path, seed: int) -> tuple[Path, tuple[str | Path, ...]]:
    """Make a cohort and its features; return the manifest to train on, and the options it needs."""
    data = work / "data"
    if system == "mci-homology":
        medtools("demo", system, "--rois", "18", "--seed", str(seed), "--out", data)
        medtools("homology", data / "manifest.tsv", "--tr", "3000", "--networks", "CB", "--out", work / "homology")
        return data / "manifest.tsv", ("--homology", work / "homology")
    medtools("demo", system, "--rois", "80", "--seed", str(seed), "--out", data)
    features = work / "connectivity"
    medtools("preprocess", system, "connectivity", data / "manifest.tsv", "--out", features)
    return features / "manifest.tsv", ("--repeats", "1")


def scored(system: str, work: Path, name: str, words: tuple[str, ...], seed: int) -> str:
    """Train and score one variant; return `AUROC (accuracy)`."""
    manifest, shared = prepared(system, work, seed)
    run = work / "".join(char if char.isalnum() else "-" for char in name)
    medtools("train", system, manifest, *shared, *words, "--seed", str(seed), "--no-curves", "--out", run)
    medtools("score", system, run, "--resamples", "0", "--out", run / "scores")
    _, rows = read_tsv(run / "scores" / "scores.tsv")
    found = {row["metric"]: row["value"] for row in rows if row["level"] == "test"}
    auroc, accuracy = (f"{float(found[name]):.2f}" if found[name] != "n/a" else "n/a" for name in ("auroc", "accuracy"))
    return f"{auroc} ({accuracy})"


def main() -> None:
    """Print the table of one system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=["mci-homology", "asd-transformer"])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="variants, comma separated")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "medtools-seeds")
    asked = parser.parse_args()
    variants = MCI if asked.system == "mci-homology" else ASD
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    print(f"| variant | {' | '.join(f'seed {seed}' for seed in seeds)} |\n|---|{'---|' * len(seeds)}")
    for name, words in variants.items():
        if asked.only and name not in asked.only.split(","):
            continue
        cells = [scored(asked.system, asked.work / asked.system / str(seed), name, words, seed) for seed in seeds]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
