"""Parameters of a stage: one pydantic model is its options, its configuration keys and its record.

Sources, each overriding the one before: the model's defaults, `--config FILE.yaml`, `--set key=value`, and
options given on the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from medtools.core.errors import InputError

Milliseconds = Annotated[float, pydantic.Field(json_schema_extra={"unit": "ms"})]
Millimetres = Annotated[float, pydantic.Field(json_schema_extra={"unit": "mm"})]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH, _MAX_NODES = 50, 1_000_000


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_split_commas)]
Integers = Annotated[tuple[int, ...], pydantic.BeforeValidator(_split_commas)]
Numbers = Annotated[tuple[float, ...], pydantic.BeforeValidator(_split_commas)]


@dataclass
class _Node:
    """A YAML node that is being read: its anchor, and how many nodes it unfolds to so far."""

    anchor: str | None = None
    size: int = 1


class Params(pydantic.BaseModel):
    """Base of every stage's parameters: frozen, and unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Params)


def resolve(
    model: type[Model],
    stage: str,
    config: Path | None = None,
    assignments: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Merge all sources into one checked `model`.

    Parameters
    ----------
    model : type of Params
        The stage's parameter model.
    stage : str
        The stage's name; a configuration file may hold a section of that name.
    config : Path, optional
        YAML file of parameters.
    assignments : iterable of str
        `key=value` pairs, each value read as YAML.
    options : mapping, optional
        Options given explicitly; `None` values count as not given.

    Raises
    ------
    InputError
        Unknown key (the closest known one is named), or a value of the wrong type or out of range.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if config is not None:
        _update(merged, origins, read_config(config, stage), f"{config}")
    _update(merged, origins, dict(_assignment(text) for text in assignments), "--set")
    given = {key: value for key, value in (options or {}).items() if value is not None}
    merged.update(given)
    origins.update({key: "--" + key.replace("_", "-") for key in given})
    return check(model, merged, origins)


def check(model: type[Model], values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Model:
    """Validate `values` against `model`, naming key, origin, expectation and finding of the first fault."""
    origins = origins or {}
    for key in values:
        if key not in model.model_fields:
            raise _unknown_key(str(key), model, origins.get(key, "parameters"))
    try:
        return model.model_validate(dict(values))
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"]) or "parameters"
        message = fault["msg"].removeprefix("Value error, ")
        raise InputError(
            _place(key, origins), f"{message[:1].lower()}{message[1:]}, found {fault['input']!r}"
        ) from error


def read_config(path: Path, stage: str) -> dict[str, Any]:
    """Read the parameters of `stage` from a YAML file: its section of that name, or else the whole mapping."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(path, f"expected a mapping of parameters, found {type(content).__name__}")
    section = content.get(stage, content)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise InputError(path, f"section {stage!r} must be a mapping, found {type(section).__name__}")
    return {str(key).replace("-", "_"): value for key, value in section.items()}


def read_yaml(path: Path) -> Any:
    """Read YAML safely (no tags that build objects).

    Raises
    ------
    InputError
        The file is missing, not UTF-8, not YAML, nested too deep, or unfolding to too much through its aliases.
    """
    try:
        return _load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(path, "no such file") from error
    except IsADirectoryError as error:
        raise InputError(path, "is a folder, expected a YAML file") from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 text (byte {error.start})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also a date such as 2024-02-31
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(path, f"not valid YAML{place}: {getattr(error, 'problem', error)}") from error


def values_yaml(params: Params) -> str:
    """Write parameters as used, as YAML that `--config` takes."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, default_flow_style=None)


def defaults_yaml(model: type[Params]) -> str:
    """Write a model's defaults as YAML, each key preceded by its description, ready for `--config`.

    A parameter without a default stands as a comment.
    """
    lines = []
    for key, field in model.model_fields.items():
        if field.description:
            lines.append(f"# {field.description}")
        if field.is_required():
            lines.append(f"# {key}: (required)")
            continue
        value = field.get_default(call_default_factory=True)
        plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
        text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000)
        lines.append(f"{key}: {text.removesuffix('...' + chr(10)).rstrip()}")
    return "\n".join(lines) + "\n" if lines else ""


def _update(merged: dict[str, Any], origins: dict[str, str], values: Mapping[str, Any], origin: str) -> None:
    merged.update(values)
    origins.update(dict.fromkeys(values, origin))


def _load_yaml(text: str) -> Any:
    _check_extent(text)
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 (a safe loader, the fast one)


def _check_extent(text: str) -> None:
    """Refuse YAML that would exhaust the stack or the memory: deep nests, and aliases of aliases of aliases.

    Raises
    ------
    ValueError
    """
    open_nodes = [_Node()]
    anchored: dict[str | None, int] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            open_nodes[-1].size += anchored.get(event.anchor, 0)
        elif isinstance(event, yaml.NodeEvent):
            open_nodes.append(_Node(event.anchor))
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionEndEvent):
            done = open_nodes.pop()
            open_nodes[-1].size += done.size
            anchored[done.anchor] = done.size
        if len(open_nodes) > _MAX_DEPTH or open_nodes[-1].size > _MAX_NODES:
            raise ValueError("nested too deep, or too large")


def _assignment(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError("--set", f"expected key=value, found {text!r}")
    try:
        return key.strip().replace("-", "_"), _load_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("--set", f"value of {key.strip()} is not YAML: {value!r}") from error


def _place(key: str, origins: Mapping[str, str]) -> str:
    origin = origins.get(key.split(".")[0])
    if origin is None:
        return key
    return origin if origin.lstrip("-").replace("-", "_") == key else f"{origin}: {key}"


def _unknown_key(key: str, model: type[Params], origin: str) -> InputError:
    known = list(model.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known) or 'none'}"
    return InputError(origin, f"unknown key {key!r}", hint)
