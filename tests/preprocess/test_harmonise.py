"""ComBat against its published code, its equations written out, and what must not change (card 04, checks 3 and 4)."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.preprocess.harmonise import apply_combat, fit_combat


def samples(seed=0, n=60, features=40, sites="abc"):
    """Samples of several sites, each with a shift and a spread of its own per feature."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, features)) * rng.uniform(0.5, 2, features) + rng.normal(0, 2, features)
    labels = np.array([sites[i % len(sites)] for i in range(n)])
    for site in sites:
        rows = labels == site
        values[rows] = values[rows] * rng.uniform(0.7, 1.4) + rng.normal(0, 0.5, features)
    return values, labels


def harmonise(values, labels):
    return apply_combat(fit_combat(values, labels), values, labels)


def written_out(values, labels):
    """The card's equations, feature by feature and with scalars only."""
    names, result = sorted(set(labels)), np.empty_like(values)
    sizes = {s: int((labels == s).sum()) for s in names}
    n, m = values.shape
    alpha = [sum(sizes[s] / n * values[labels == s, k].mean() for s in names) for k in range(m)]
    sigma = [
        np.sqrt(sum(((values[labels == s, k] - values[labels == s, k].mean()) ** 2).sum() for s in names) / n)
        for k in range(m)
    ]
    z = np.array([[(values[j, k] - alpha[k]) / sigma[k] for k in range(m)] for j in range(n)])
    for s in names:
        part, size = z[labels == s], sizes[s]
        gamma, delta2 = [part[:, k].mean() for k in range(m)], [part[:, k].var(ddof=1) for k in range(m)]
        centre, tau2 = np.mean(gamma), np.var(gamma, ddof=1)
        mean, s2 = np.mean(delta2), np.var(delta2, ddof=1)
        shape, rate = (2 * s2 + mean**2) / s2, (mean * s2 + mean**3) / s2
        g, d, change = list(gamma), list(delta2), 1.0
        while change > 1e-4:
            new_g = [(tau2 * size * gamma[k] + d[k] * centre) / (tau2 * size + d[k]) for k in range(m)]
            new_d = [(0.5 * ((part[:, k] - new_g[k]) ** 2).sum() + rate) / (size / 2 + shape - 1) for k in range(m)]
            change = max(
                max(abs(a - b) / b for a, b in zip(new, old, strict=True)) for new, old in ((new_g, g), (new_d, d))
            )
            g, d = new_g, new_d
        for k in range(m):
            result[labels == s, k] = sigma[k] * (part[:, k] - g[k]) / np.sqrt(d[k]) + alpha[k]
    return result


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_what_the_equations_say(seed):
    values, labels = samples(seed)
    assert np.abs(harmonise(values, labels) - written_out(values, labels)).max() < 1e-10


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_neurocombat_computes(seed):
    peer = pytest.importorskip("neuroCombat")
    pandas = pytest.importorskip("pandas")
    values, labels = samples(seed, n=120, features=500)
    theirs = peer.neuroCombat(values.T, pandas.DataFrame({"site": labels}), "site")["data"].T
    assert np.abs(harmonise(values, labels) - theirs).max() < 1e-10


def test_one_site_alone_is_left_bit_for_bit():
    values, _ = samples()
    assert np.array_equal(harmonise(values, ["a"] * len(values)), values)


def test_two_identical_sites_hardly_change():
    values, _ = samples(n=40)
    twice = np.concatenate([values, values])
    changed = harmonise(twice, ["a"] * 40 + ["b"] * 40)
    # Sites alike have no shift; the spread is that of ddof 1 over ddof 0, shrunk.
    assert np.abs(changed - twice).max() < 0.05 * twice.std(axis=0).max()


def test_a_constant_per_site_and_feature_is_removed_by_more_than_80_percent():
    rng = np.random.default_rng(3)
    values, labels = rng.standard_normal((240, 200)) * 0.1, np.array(list("abcde") * 48)
    for site in "abcde":
        values[labels == site] += rng.normal(0, 0.1, 200)

    def spread(table):
        return np.std([table[labels == site].mean(axis=0) for site in "abcde"], axis=0).mean()

    assert spread(harmonise(values, labels)) < 0.2 * spread(values)


def test_what_is_fitted_does_not_see_other_samples_and_applies_to_them():
    values, labels = samples(n=90)
    train, test = slice(0, 60), slice(60, 90)
    before = apply_combat(fit_combat(values[train], labels[train]), values[train], labels[train])
    values[test] += 100
    combat = fit_combat(values[train], labels[train])
    assert np.array_equal(apply_combat(combat, values[train], labels[train]), before)
    one = apply_combat(combat, values[test][:1], labels[test][:1])
    assert np.array_equal(one, apply_combat(combat, values[test], labels[test])[:1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_neither_order_of_samples_nor_names_of_sites_matter(seed):
    values, labels = samples(seed, n=30, features=12)
    order = np.random.default_rng(seed).permutation(len(values))
    names = {"a": "z", "b": "m", "c": "k"}
    again = harmonise(values[order], np.array([names[label] for label in labels[order]]))
    assert np.allclose(again, harmonise(values, labels)[order], atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-100, 100))
def test_units_and_origin_of_the_features_do_not_matter(seed, scale, shift):
    values, labels = samples(seed, n=30, features=12)
    expected = scale * harmonise(values, labels) + shift
    # Rounding may add or spare one iteration, whose change is below 1e-4 of a standard deviation.
    assert np.allclose(harmonise(scale * values + shift, labels), expected, atol=1e-3 * scale)


def test_an_unknown_site_is_refused_or_left_as_it_is():
    values, labels = samples()
    combat = fit_combat(values, labels)
    with pytest.raises(InputError, match=r"site new was not in the training part \(a, b, c\)"):
        apply_combat(combat, values[:2], ["new", "new"])
    assert np.array_equal(apply_combat(combat, values[:2], ["new", "new"], unseen="pooled"), values[:2])


def test_a_site_with_one_sample_gets_a_shift_only_and_a_warning(caplog):
    values, labels = samples()
    labels = labels.astype("<U4")
    labels[0] = "lone"
    with caplog.at_level(logging.WARNING, LOGGER.name):
        combat = fit_combat(values, labels)
    row = combat.sites.index("lone")
    assert (combat.spread[row] == 1).all()
    assert (combat.shift[row] != 0).all()
    assert "site lone has one training sample" in caplog.text


def test_features_that_do_not_vary_are_left_alone_and_disturb_no_other():
    values, labels = samples()
    expected = harmonise(values, labels)
    wider = np.concatenate([values, np.zeros((len(values), 1)), (labels == "a")[:, None]], axis=1)
    found = harmonise(wider, labels)
    assert np.array_equal(found[:, -2:], wider[:, -2:])
    assert np.array_equal(found[:, :-2], expected)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda v, s: (np.where(np.arange(v.size).reshape(v.shape) == 41, np.nan, v), s), "sample 2, feature 2 is nan"),
        (lambda v, s: (v, s[:-1]), "one site each"),
        (lambda v, s: (v[:0], s[:0]), "one site each"),
    ],
)
def test_unusable_samples_are_refused(change, cause):
    with pytest.raises(InputError, match=cause):
        fit_combat(*change(*samples()))


def test_samples_of_other_features_are_refused():
    values, labels = samples()
    with pytest.raises(InputError, match="fitted on 40 features, these samples have 39"):
        apply_combat(fit_combat(values, labels), values[:, 1:], labels)
