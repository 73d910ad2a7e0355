# What spect-prototypes makes of a data set.


def prototypes_targets(found):
    """Scores and pictures; the table of starts, distances, shots and episodes where the configuration names it."""
    stages = ["scores/score.json", "explain/explain.json"]
    if "reproduce" in found.params:
        stages.append("table/reproduce.json")
    return [f"results/{found.name}/prototypes/{stage}" for stage in stages]


TARGETS["spect-prototypes"] = prototypes_targets
