# What covid-severity makes of a data set, and what its rules ask of one.


def severity_batches(wildcards):
    """Every batch of a data set of CT scans."""
    names = data_set(wildcards).batches
    return expand("results/{d}/batches/severity/{b}.done", d=wildcards.dataset, b=names)


def severity_targets(found):
    """Scores and pictures and, where grades are configured or made, the agreement with them."""
    targets = [f"results/{found.name}/severity/infer.json"]
    if found.is_made or "score" in found.params:
        targets.append(f"results/{found.name}/severity_scores/score.json")
    return targets


TARGETS["covid-severity"] = severity_targets
