# What mci-homology makes of a data set, and what its rules ask of one.
from shlex import quote

from medtools.systems.mci_homology import cohort as mci


def network_words(wildcards):
    """The network of a job, as command-line words; its folder has a name that any file system takes."""
    network = quote(data_set(wildcards).networks[wildcards.network])
    return f"--networks {network} --sample {network}"


def all_batches(wildcards):
    """Every batch of a data set."""
    names = data_set(wildcards).batches
    return expand("results/{d}/homology/batches/{b}.done", d=wildcards.dataset, b=names)


def all_networks(wildcards):
    """PS of every network of a data set."""
    networks = data_set(wildcards).networks
    return expand(
        "results/{d}/homology/PS/{n}/ps.json", d=wildcards.dataset, n=networks
    )


def all_folds(wildcards):
    """Every fold of a data set's training."""
    folds = mci.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/train/folds/{f}/predictions.tsv", d=wildcards.dataset, f=folds
    )


def homology_targets(found):
    """PS, figures and, where they are configured, group statistics and classification."""
    targets = expand(
        "results/{d}/homology/PS/{n}/ps.json", d=found.name, n=found.networks
    )
    targets.append(f"results/{found.name}/figures/plot.json")
    if "stats" in found.params:
        targets.append(f"results/{found.name}/stats/stats.json")
    if "train" in found.params:
        targets.append(f"results/{found.name}/scores/score.json")
    return targets


TARGETS["mci-homology"] = homology_targets
