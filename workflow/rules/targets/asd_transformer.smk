# What asd-transformer makes of a data set, and what its rules ask of one.
from medtools.core.manifest import read_manifest
from medtools.systems.asd_transformer import cohort as asd


def asd_folds(wildcards):
    """Every fold of a training of asd-transformer."""
    found = data_set(wildcards)
    train = found.params.get("train", {})
    names = asd.fold_names(train, asd_sites(found, train))
    return expand(
        "results/{d}/asd/train/folds/{f}/predictions.tsv", d=wildcards.dataset, f=names
    )


def asd_sites(found, train):
    """The site of each subject, where folds leave one site out after the other."""
    if train.get("protocol") != "site":
        return []
    if found.is_made:
        return asd.site_names(
            len(found.samples), found.params.get("demo", {}).get("sites", asd.SITES)
        )
    return read_manifest(found.manifest).labels(train.get("site", "site"))


def asd_targets(found):
    """Scores over all folds, and explanations of the first."""
    return [
        f"results/{found.name}/asd/{stage}"
        for stage in ("scores/score.json", "explain/explain.json")
    ]


TARGETS["asd-transformer"] = asd_targets
