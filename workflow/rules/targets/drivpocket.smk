# What drivpocket makes of a data set, and what its rules ask of one.
from medtools.systems.drivpocket import cohort as drivpocket


def pocket_parts(found):
    """The networks of drivpocket that a data set trains: those with a section in its params."""
    return [part for part in ("rank", "segment") if part in found.params]


def pocket_source(wildcards):
    """The structures as given or, where networks are trained, prepared with their candidates."""
    found = data_set(wildcards)
    return (
        f"results/{found.name}/prepared/manifest.tsv"
        if pocket_parts(found)
        else found.manifest
    )


def pocket_models(wildcards):
    """The networks that a data set trains, once they are trained."""
    return [
        f"results/{wildcards.dataset}/{part}/model.ckpt"
        for part in pocket_parts(data_set(wildcards))
    ]


def pocket_words(wildcards):
    """The same, as command-line words."""
    options = {"rank": "--ranker", "segment": "--segmenter"}
    return " ".join(
        f"{options[part]} results/{wildcards.dataset}/{part}/model.ckpt"
        for part in pocket_parts(data_set(wildcards))
    )


def structure_words(wildcards):
    """How structures are read and searched when they are prepared: as in inference."""
    return drivpocket.structure_words(data_set(wildcards).params.get("infer", {}))


def pocket_batches(stage):
    """An input function: every batch of a stage of drivpocket."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/batches/{stage}/{batch}.done"
        for batch in data_set(wildcards).batches
    ]


def pocket_targets(found):
    """Pockets and pictures and, where sites are known, the agreement with them."""
    targets = [f"results/{found.name}/pockets/infer.json"]
    if found.is_made or "score" in found.params:
        targets.append(f"results/{found.name}/pocket_scores/score.json")
    return targets


TARGETS["drivpocket"] = pocket_targets
