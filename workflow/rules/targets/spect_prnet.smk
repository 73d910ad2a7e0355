# What spect-prnet makes of a data set, and which files of one it reads.
from medtools.systems.spect_prnet import cohort as prnet


def prnet_files(wildcards):
    """Images, label maps and landmarks, where they are the user's own."""
    found = data_set(wildcards)
    if found.is_made:
        return []
    try:
        samples = prnet.find_samples(Path(found.given))
    except InputError as error:
        sys.exit(f"error: config: {found.name}: {error}")
    return [file for files in samples.values() for file in files]


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
