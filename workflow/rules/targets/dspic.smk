# What dspic makes of a data set, and what its rules ask of one.
from medtools.systems.dspic import cohort as dspic


def dspic_folds(wildcards):
    """Every fold of a training of dspic."""
    names = dspic.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/dspic/train/folds/{f}/predictions.tsv",
        d=wildcards.dataset,
        f=names,
    )


def dspic_targets(found):
    """Scores over all folds, and what the network of the first looks at."""
    model = found.params.get("train", {}).get("model", "dspic-am")
    stages = (
        ("scores/score.json",)
        if model in dspic.CLASSICAL
        else ("scores/score.json", "explain/explain.json")
    )
    return [f"results/{found.name}/dspic/{stage}" for stage in stages]


TARGETS["dspic"] = dspic_targets
