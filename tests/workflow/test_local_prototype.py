"""local-prototype in the workflow: trained folds, or ImageNet weights with nothing to train."""

import pytest
from support import call, configure, imagenet_weights, snakemake

from medtools.core.tables import read_tsv

PRETRAINED = {"method": "pretrained", "encoder": "efficientnet-lite0"}


@pytest.fixture
def planned(tmp_path):
    """A function that runs Snakemake on a small made cohort with these parameters."""
    made = call("demo", "local-prototype", "--size", "64", "--slices", "4", "--train", "2", "--queries", "1",
                "--out", tmp_path / "study")  # fmt: skip
    assert made.code == 0, made.err

    def run(words, **params):
        params = {"slices": {"size": 64}, "score": {"resamples": 100}, **params}
        entry = {"name": "organs", "system": "local-prototype", "source": "study", "params": params}
        configure(tmp_path, entry)
        return snakemake(tmp_path, *words)

    return run


def test_imagenet_weights_go_from_volumes_to_scores_without_any_training(planned, tmp_path):
    run = planned((), infer={**PRETRAINED, "weights": str(imagenet_weights())})

    assert run.returncode == 0, run.stderr
    organs = tmp_path / "results" / "organs" / "organs"
    assert not (organs / "train").exists()
    assert "mean" in {row["level"] for row in read_tsv(organs / "scores" / "scores.tsv")[1]}
    assert (organs / "explain" / "maps.png").is_file()


def test_organs_asked_for_are_copied_too_and_those_of_the_folds_trained_on(planned):
    run = planned(
        ("--dry-run", "--printshellcmds"), train={"held_out": ["liver", "kidney"]}, infer={"organs": ["spleen"]}
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.count("rule organs_train_fold:") == 2
    assert "--method copy-mask --organs spleen" in run.stdout
    assert "infer local-prototype results/organs/slices/manifest.tsv --model results/organs/organs/train" in run.stdout


def test_a_method_without_features_has_nothing_to_explain(planned):
    run = planned(("--dry-run",), infer={"method": "intensity", "organs": ["liver"]})

    assert run.returncode == 0, run.stderr
    assert "organs_train_fold" not in run.stdout
    assert "organs_explain" not in run.stdout
