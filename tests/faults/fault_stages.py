"""The stages as they are disturbed: each a command on a cohort so small that it takes a second or two."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One stage of the chain.

    Attributes
    ----------
    name : str
        The words after `medtools`.
    words : tuple of str
        What follows them; paths are relative to the working folder.
    out : str
        Its output folder.
    needs : tuple of str
        Folders that it reads.
    """

    name: str
    words: tuple[str, ...]
    out: str
    needs: tuple[str, ...] = ()

    @property
    def line(self) -> list[str]:
        """The whole command line."""
        return [*self.name.split(), *self.words, "--out", self.out]


_TRAIN = ("--epochs", "1", "--no-curves", "--device", "cpu")
_FOLDS = ("--folds", "2", "--repeats", "1", *_TRAIN)
_SMALL = ("--preset", "cpu", "--batch-size", "2", "--validation", "0", *_TRAIN)
_SERIES = ("--rois", "18", "--per-group", "2", "--samples", "30")
_HEADS = ("--size", "32", "--batch", "32", *_TRAIN)
_MODELS = ("--segmenter", "segment/model.ckpt", "--ranker", "rank/model.ckpt")

COMMANDS = (
    Command("demo mci-homology", _SERIES, "mci"),
    Command("homology", ("mci", "--tr", "3000", "--max-dim", "0", "--networks", "CB"), "topology", ("mci",)),
    Command("homology ps", ("topology/manifest.tsv", "--diagrams", "topology/diagrams"), "ps", ("mci", "topology")),
    Command("homology plot", ("topology/manifest.tsv", "--homology", "topology", "--dpi", "40"), "figures",
            ("mci", "topology")),
    Command("stats mci-homology", ("mci", "--homology", "topology", "--comparisons", "HC:LMCI"), "stats",
            ("mci", "topology")),
    Command("train mci-homology", ("mci", "--homology", "topology", "--network", "CB", "--task", "HC:LMCI", *_FOLDS),
            "mci-run", ("mci", "topology")),
    Command("infer mci-homology", ("mci", "--homology", "topology", "--model", "mci-run/folds/r1f1"), "mci-predictions",
            ("mci", "topology", "mci-run")),
    Command("score mci-homology", ("mci-run", "--resamples", "100"), "mci-scores", ("mci-run",)),
    Command("demo asd-transformer", ("--subjects", "40", "--sites", "2", "--rois", "16", "--samples", "30"), "asd"),
    Command("train asd-transformer", ("asd/manifest.tsv", "--batch", "8", "--repeats", "1", "--stratify", "class",
                                      *_TRAIN), "asd-run", ("asd",)),
    Command("infer asd-transformer", ("asd/manifest.tsv", "--model", "asd-run"), "asd-predictions", ("asd", "asd-run")),
    Command("score asd-transformer", ("asd-run", "--resamples", "100"), "asd-scores", ("asd-run",)),
    Command("explain asd-transformer", ("asd/manifest.tsv", "--model", "asd-run"), "asd-explained", ("asd", "asd-run")),
    Command("demo covid-severity", ("--scans", "2", "--size", "96", "--slices", "24"), "covid"),
    Command("preprocess ct", ("covid/scans", "--lobes", "covid/lobes"), "ct", ("covid",)),
    Command("infer covid-severity", ("ct/manifest.tsv",), "severity", ("ct",)),
    Command("score covid-severity", ("severity", "--grades", "covid/grades.tsv", "--resamples", "100"), "covid-scores",
            ("severity", "covid")),
    Command("demo drivpocket", ("--proteins", "2"), "globules"),
    Command("preprocess protein", ("globules/manifest.tsv",), "proteins", ("globules",)),
    Command("train drivpocket rank", ("proteins", *_SMALL), "rank", ("proteins",)),
    Command("train drivpocket segment", ("proteins", *_SMALL), "segment", ("proteins",)),
    Command("infer drivpocket", ("proteins/manifest.tsv", *_MODELS, "--batch-size", "2"), "pockets",
            ("proteins", "rank", "segment")),
    Command("score drivpocket", ("proteins/manifest.tsv", "--predictions", "pockets"), "pocket-scores",
            ("proteins", "pockets")),
    Command("demo ad-lite-net", ("--size", "32", "--slices", "1"), "heads"),
    Command("preprocess images", ("heads", "--size", "32"), "images", ("heads",)),
    Command("train ad-lite-net", ("images/manifest.tsv", *_HEADS), "heads-run", ("images",)),
    Command("infer ad-lite-net", ("images/manifest.tsv", "--model", "heads-run"), "heads-predictions",
            ("images", "heads-run")),
    Command("score ad-lite-net", ("heads-run", "--resamples", "100"), "heads-scores", ("heads-run",)),
    Command("explain ad-lite-net", ("images/manifest.tsv", "--model", "heads-run"), "heads-explained",
            ("images", "heads-run")),
    Command("reproduce ad-lite-net", ("images/manifest.tsv", "--rows", "majority,no-pcb", "--size", "32",
                                      "--epochs", "1"), "heads-table", ("images",)),
    Command("demo dspic", ("--scale", "8", "--patients", "0.1"), "bones"),
    Command("preprocess spect", ("bones/manifest.tsv",), "spect", ("bones",)),
    Command("train dspic", ("spect/manifest.tsv", "--height", "128", "--width", "32", *_TRAIN), "bones-run",
            ("spect",)),
    Command("score dspic", ("bones-run", "--resamples", "100"), "bones-scores", ("bones-run",)),
    Command("demo spect-prototypes", ("--subjects", "4"), "hearts"),
    Command("preprocess spect-prototypes", ("hearts", "--mode", "hard"), "crops", ("hearts",)),
    Command("train spect-prototypes", ("crops/manifest.tsv", "--episodes", "2", "--width", "0.125", "--val-support",
                                       "train", "--device", "cpu", "--no-curves"), "crops-run", ("crops",)),
    Command("score spect-prototypes", ("crops-run", "--resamples", "100"), "crops-scores", ("crops-run",)),
    Command("train spect-prnet", ("hearts", "--width", "4", *_TRAIN), "prnet-run", ("hearts",)),
    Command("infer spect-prnet locate", ("hearts", "--model", "prnet-run"), "landmarks", ("hearts", "prnet-run")),
    Command("infer spect-prnet reconstruct", ("hearts", "--model", "prnet-run"), "rebuilt", ("hearts", "prnet-run")),
    Command("demo local-prototype", ("--size", "64", "--slices", "4", "--train", "2", "--queries", "1", "--shift", "4"),
            "organs"),
    Command("preprocess local-prototype slices", ("organs/manifest.tsv", "--size", "64"), "slices", ("organs",)),
    Command("train local-prototype", ("slices/manifest.tsv", "--width", "0.0625", "--iterations", "2", "--batch", "2",
                                      "--held-out", "liver,kidney", *_TRAIN), "organs-run", ("slices",)),
    Command("infer local-prototype", ("slices/manifest.tsv", "--model", "organs-run"), "organs-masks",
            ("slices", "organs-run")),
    Command("score local-prototype", ("slices/manifest.tsv", "--predictions", "organs-masks", "--resamples", "100"),
            "organs-scores", ("slices", "organs-masks")),
    Command("preprocess fmri", ("bids", "--tr", "3000", "--voxel", "6", "--no-figures"), "bold", ("bids",)),
)  # fmt: skip
"""In the order in which they need each other; `bids` is made by the script itself."""

CHEAP = ("demo mci-homology", "homology", "homology ps")
"""Stages of the short form."""
