# What spect-prnet makes of a data set.


def prnet_targets(found):
    """Landmarks, slices rebuilt, and the scores of both."""
    return [
        f"results/{found.name}/prnet/{record}"
        for record in (
            "landmarks/locate.json",
            "reconstruction/reconstruct.json",
            "scores/score.json",
        )
    ]


TARGETS["spect-prnet"] = prnet_targets
