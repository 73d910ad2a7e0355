# What local-prototype makes of a data set, and what its rules ask of one.
from shlex import quote

from medtools.systems.local_prototype import cohort as organs


def organ_method(name):
    """What segments a data set: network, or a method for which nothing is trained."""
    return DATA_SETS[name].params.get("infer", {}).get("method", "network")


def organ_folds(wildcards):
    """The network of every held-out class of a training of local-prototype; none where nothing is trained."""
    if organ_method(wildcards.dataset) != "network":
        return []
    names = organs.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/organs/train/folds/{o}/model.ckpt", d=wildcards.dataset, o=names
    )


def organ_model(wildcards):
    """The folder of the training, as command-line words."""
    if organ_method(wildcards.dataset) != "network":
        return ""
    return f"--model results/{wildcards.dataset}/organs/train"


def organ_words(wildcards):
    """The organs that are segmented, as command-line words: those asked for, else those held out, else all."""
    params = data_set(wildcards).params
    given = params.get("infer", {}).get("organs")
    if given:
        names = given if isinstance(given, str) else ",".join(given)
    elif organ_method(wildcards.dataset) == "network":
        names = ",".join(organs.held_out(params.get("train", {})))
    else:
        return ""
    return f"--organs {quote(names)}"


def organ_trunk(wildcards):
    """The trunk and weights to explain where nothing is trained, as command-line words."""
    if organ_method(wildcards.dataset) == "network":
        return organ_model(wildcards)
    given = data_set(wildcards).params["infer"]
    words = [
        f"--{key} {quote(str(given[key]))}"
        for key in ("encoder", "weights")
        if key in given
    ]
    return " ".join(words)


def organ_targets(found):
    """Dice beside copying the support's mask, and what decided for one slice, where features did."""
    stages = ["scores/score.json"]
    if organ_method(found.name) in ("network", "pretrained"):
        stages.append("explain/explain.json")
    return [f"results/{found.name}/organs/{stage}" for stage in stages]


TARGETS["local-prototype"] = organ_targets
