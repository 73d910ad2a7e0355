"""spect-prototypes: decisions to scores, and two runs beside each other."""

import numpy as np
import pytest
from scipy import stats

from medtools.metrics.intervals import wilson
from medtools.systems.spect_prototypes import scoring


def decisions(right, episodes=10):
    """Return decisions between two classes of which some are right."""
    n = len(right)
    table = np.where(np.array(right, dtype=bool)[:, None], [0.9, 0.1], [0.1, 0.9])
    return scoring.Decisions(
        ("a", "b"),
        np.array([str(i) for i in range(n)]),
        np.array([f"s{i % 3}" for i in range(n)]),
        np.array(["a"] * n),
        np.array([str(i * episodes // n) for i in range(n)]),
        table,
    )


def test_the_papers_168_of_180_have_the_cards_interval():
    found = decisions([1] * 168 + [0] * 12)
    low, high = wilson(int(found.right.sum()), len(found.right))
    assert (low, high) == (pytest.approx(0.887, abs=5e-4), pytest.approx(0.961, abs=5e-4))
    assert found.right.mean() == pytest.approx(0.9333, abs=5e-5)
    assert found.losses.mean() == pytest.approx(-(168 * np.log(0.9) + 12 * np.log(0.1)) / 180)


def test_two_runs_are_compared_by_signed_ranks_over_episodes(tmp_path):
    rng = np.random.default_rng(0)
    ours, theirs = decisions(rng.random(180) < 0.9), decisions(rng.random(180) < 0.6)
    found = scoring.difference(ours, theirs, tmp_path, seed=0, resamples=200)
    each = [np.reshape(one.right, (10, 18)).mean(axis=1) for one in (ours, theirs)]
    assert found["p_wilcoxon"] == pytest.approx(stats.wilcoxon(*each).pvalue)
    assert found["difference"] == pytest.approx(each[0].mean() - each[1].mean())
    assert scoring.difference(ours, ours, tmp_path, seed=0, resamples=200)["p_wilcoxon"] is None
