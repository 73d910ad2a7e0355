# What local-prototype makes of a data set, and what its rules ask of one.
from shlex import quote

from medtools.systems.local_prototype import cohort as organs


def organ_folds(wildcards):
    """The network of every held-out class of a training of local-prototype."""
    names = organs.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/organs/train/folds/{o}/model.ckpt", d=wildcards.dataset, o=names
    )


def organ_words(wildcards):
    """The held-out classes, as command-line words."""
    train = data_set(wildcards).params.get("train", {})
    return f"--organs {quote(','.join(organs.held_out(train)))}"


def organ_targets(found):
    """Dice beside copying the support's mask, and what decided for one slice."""
    return [
        f"results/{found.name}/organs/{stage}"
        for stage in ("scores/score.json", "explain/explain.json")
    ]


TARGETS["local-prototype"] = organ_targets
