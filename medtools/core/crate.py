"""Results as an RO-Crate: which action of which software made which file from what, for archives and search engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from medtools.core.lineage import Step

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
CRATE_FILE = "ro-crate-metadata.json"


def describe(folder: Path, steps: Sequence[Step]) -> dict[str, Any]:
    """Describe a results folder by the profile "Process Run Crate".

    Parameters
    ----------
    folder : Path
        Root of the crate; files outside it are described, not claimed.
    steps : sequence of Step
        Records of the folder (`lineage.find_steps`).

    Returns
    -------
    dict
        JSON-LD for `ro-crate-metadata.json`. Paths outside the folder are given by name and hash only, since they say
        where on a machine somebody's data lie.
    """
    root = folder.resolve()
    crate = ROCrate()
    crate.name = f"medtools results: {root.name}"
    crate.description = "Made by the stages of medtools that are listed as actions, with parameters and hashes."
    newest = max(step.path.stat().st_mtime for step in steps)
    crate.datePublished = datetime.fromtimestamp(newest, UTC).replace(microsecond=0)
    profile = crate.add(
        ContextEntity(crate, PROFILE, properties={"@type": "CreativeWork", "name": "Process Run Crate"})
    )
    crate.root_dataset["conformsTo"] = profile
    crate.root_dataset["mentions"] = [_action(crate, root, step) for step in steps]
    described: dict[str, Any] = crate.metadata.generate()
    return described


def _action(crate: ROCrate, root: Path, step: Step) -> ContextEntity:
    record = step.record
    name = _name(step.path, root)
    action = ContextEntity(
        crate,
        f"#{name}",
        properties={
            "@type": "CreateAction",
            "name": record["stage"],
            "description": " ".join(_without_folders(record["command"])),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    crate.add(action)
    action["instrument"] = _software(crate, record)
    action["object"] = [_file(crate, root, path, digest) for path, digest in step.inputs()]
    action["object"] += [_parameter(crate, name, key, value) for key, value in sorted(record["params"].items())]
    action["result"] = [_file(crate, root, path, digest) for path, digest in step.outputs()]
    return action


def _software(crate: ROCrate, record: Any) -> ContextEntity:
    packages = {"python": record["python"], **record["packages"]}
    parts = [_application(crate, name, version) for name, version in packages.items()]
    software = _application(crate, "medtools", record["medtools"])
    known = software.get("softwareRequirements", [])
    software["softwareRequirements"] = [*known, *(part for part in parts if part not in known)]
    return software


def _application(crate: ROCrate, name: str, version: str) -> ContextEntity:
    identifier = f"#{name}-{version}"
    found = crate.dereference(identifier)
    properties = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version}
    return found or crate.add(ContextEntity(crate, identifier, properties=properties))


def _parameter(crate: ROCrate, action: str, key: str, value: Any) -> ContextEntity:
    shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    properties = {"@type": "PropertyValue", "name": key, "value": shown}
    return crate.add(ContextEntity(crate, f"#{action}/{key}", properties=properties))


def _file(crate: ROCrate, root: Path, path: Path, digest: str) -> Any:
    if path.is_relative_to(root):
        name = _name(path, root)
        return crate.dereference(name) or crate.add_file(dest_path=name, properties={"sha256": digest})
    identifier = f"#sha256-{digest}"
    properties = {"@type": "CreativeWork", "name": path.name, "sha256": digest}
    return crate.dereference(identifier) or crate.add(ContextEntity(crate, identifier, properties=properties))


def _name(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root).as_posix()


def _without_folders(command: Iterable[str]) -> list[str]:
    """Keep what a command did and drop where on a machine it did it."""
    return [Path(word).name if word.startswith("/") else word for word in command]
