# What ad-lite-net makes of a data set, and what its rules ask of one.
from medtools.systems.ad_lite_net import cohort as adlite


def adlite_folds(wildcards):
    """Every fold of a training of ad-lite-net."""
    names = adlite.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/adlite/train/folds/{f}/predictions.tsv",
        d=wildcards.dataset,
        f=names,
    )


def adlite_targets(found):
    """Scores over all folds, and what the network of the first looks at."""
    model = found.params.get("train", {}).get("model", "ad-lite")
    stages = (
        ("scores/score.json",)
        if model in adlite.CLASSICAL
        else ("scores/score.json", "explain/explain.json")
    )
    return [f"results/{found.name}/adlite/{stage}" for stage in stages]


TARGETS["ad-lite-net"] = adlite_targets
