"""Model files: tensors as safetensors with a JSON header, under a checksum. Loading one never runs code it carries."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from medtools.core.atomic import write_bytes
from medtools.core.errors import InputError

# One key only: the library writes several in an order that changes from run to run.
_HEADER = "medtools"


@dataclass(frozen=True)
class Checkpoint:
    """Content of a model file: its parameters and its tensors by name."""

    params: dict[str, Any]
    tensors: dict[str, Tensor]


def save_checkpoint(
    path: str | Path,
    model: nn.Module | Mapping[str, Tensor],
    params: Mapping[str, Any],
    *,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file atomically; the same content gives the same bytes.

    Parameters
    ----------
    path : str or Path
        Usually `model.ckpt`.
    model : nn.Module or mapping of str to Tensor
        A network or a state dictionary.
    params : mapping
        Everything needed to build the network again and to refuse data it was not trained for: JSON values only.
    record : mapping, optional
        How the file came about, kept apart from the parameters.
    """
    state = model.state_dict() if isinstance(model, nn.Module) else model
    tensors, seen = {}, set()
    for name, tensor in state.items():
        stored = tensor.detach().cpu().contiguous()
        memory = stored.untyped_storage().data_ptr()
        # Tied weights share memory, which the format does not allow: each is written for itself.
        tensors[name] = stored.clone() if memory in seen else stored
        seen.add(memory)
    header = {"params": params, "record": record or {}, "tensors": digest(sorted(tensors.items()))}
    text = _compact(header)
    sealed = _compact({"header": header, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    # The library's own writer leaves files that only their owner may read.
    write_bytes(path, save(tensors, metadata={_HEADER: sealed}))


def read_params(path: str | Path) -> dict[str, Any]:
    """Read a model file's parameters without its tensors.

    Raises
    ------
    InputError
        As `load_checkpoint`.
    """
    return dict(_header(Path(path))["params"])


def read_record(path: str | Path) -> dict[str, Any]:
    """Read how a model file came about.

    Raises
    ------
    InputError
        As `load_checkpoint`.
    """
    return dict(_header(Path(path))["record"])


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file that medtools wrote, tensors on the CPU.

    Raises
    ------
    InputError
        Missing, truncated, changed since it was written, or not a model file of medtools.
    """
    path = Path(path)
    header = _header(path)
    try:
        tensors = _read_tensors(path)
    except SafetensorError as error:
        raise _damaged(path, error) from error
    if digest(sorted(tensors.items())) != header["tensors"]:
        raise _damaged(path, "its weights are not those that were written")
    return Checkpoint(dict(header["params"]), tensors)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read weights from a user's file: safetensors, or a PyTorch file of plain tensors.

    Raises
    ------
    InputError
        Missing or damaged file, or a pickle that holds more than tensors and containers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        return _read_tensors(path)
    except SafetensorError:
        pass
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            path,
            "neither safetensors nor a PyTorch file of plain tensors",
            "convert it with safetensors.torch.save_file(model.state_dict(), FILE)",
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(path, "holds no dictionary of tensors by name")
    return content


def load_into(
    model: nn.Module,
    source: str | Path | Mapping[str, Tensor],
    *,
    rename: Callable[[str], str | None] | None = None,
    partial: bool = False,
) -> None:
    """Fill a network with weights, every name and shape checked before anything is changed.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    source : path or mapping of str to Tensor
        A file for `read_weights`, or tensors by name.
    rename : callable, optional
        Maps a name in the source to one in the model, or to None for a tensor to leave out.
    partial : bool
        Accept that the source lacks some of the model's tensors (a trunk without its head).

    Raises
    ------
    InputError
        Names the first missing, unexpected or differently shaped tensors.
    """
    where = str(source) if isinstance(source, str | Path) else "weights"
    tensors = read_weights(source) if isinstance(source, str | Path) else dict(source)
    if rename is not None:
        tensors = {new: tensor for name, tensor in tensors.items() if (new := rename(name)) is not None}
    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in tensors if name not in own]
    unequal = [name for name in tensors if name in own and tensors[name].shape != own[name].shape]
    if unequal:
        name = unequal[0]
        found, expected = tuple(tensors[name].shape), tuple(own[name].shape)
        raise InputError(where, f"{name} has shape {found}, the model needs {expected} ({len(unequal)} such)")
    if unexpected or (missing and not partial):
        faults = [f"{len(names)} {kind} (first {names[0]})" for kind, names in
                  (("missing", [] if partial else missing), ("unexpected", unexpected)) if names]  # fmt: skip
        raise InputError(where, f"weights do not fit the model: {', '.join(faults)} of {len(own)} tensors")
    if not set(own) & set(tensors):
        raise InputError(where, "holds no tensor of the model")
    model.load_state_dict(tensors, strict=False)


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return a SHA-256 over names, types, shapes and bytes of tensors."""
    sha = hashlib.sha256()
    for name, tensor in tensors:
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            sha.update(flat.view(torch.uint8).numpy().data)
    return sha.hexdigest()


def flatten(value: Any, prefix: str = "state") -> tuple[Any, dict[str, Tensor]]:
    """Split a nest of containers, numbers and tensors into plain JSON and tensors by name.

    Only these types are allowed: dict, Counter, list, tuple, str, int, float, bool, None and Tensor.

    Raises
    ------
    TypeError
        For anything else: a state that cannot be stored exactly must not be stored at all.
    """
    tensors: dict[str, Tensor] = {}
    return _flatten(value, prefix, tensors), tensors


def unflatten(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `flatten`."""
    if isinstance(tree, list):
        return [unflatten(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind, content = tree["kind"], tree["content"]
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(unflatten(item, tensors) for item in content)
    pairs = {unflatten(key, tensors): unflatten(item, tensors) for key, item in content}
    return Counter(pairs) if kind == "counter" else pairs


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Tensor):
        name = name if name not in tensors else f"{name}#{len(tensors)}"
        tensors[name] = value
        return {"kind": "tensor", "content": name}
    if type(value) is list:
        return [_flatten(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
    if type(value) is tuple:
        return {"kind": "tuple", "content": [_flatten(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        pairs = [[_flatten(k, name, tensors), _flatten(item, f"{name}.{k}", tensors)] for k, item in value.items()]
        return {"kind": "counter" if isinstance(value, Counter) else "dict", "content": pairs}
    raise TypeError(f"{name}: {type(value).__name__} cannot be stored in a checkpoint")


def _header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(path, "no such model file")
    try:
        with safe_open(path, framework="pt") as stream:
            text = (stream.metadata() or {}).get(_HEADER)
    except SafetensorError as error:
        raise _damaged(path, error) from error
    if text is None:
        raise InputError(path, "not a model file of medtools", "foreign weights are read with --weights")
    try:
        sealed = json.loads(text)
        header: dict[str, Any] = sealed["header"]
        intact = hashlib.sha256(_compact(header).encode()).hexdigest() == sealed["sha256"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if not intact:
        raise _damaged(path, "its header is not the one that was written")
    return header


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _damaged(path: Path, error: Exception | str) -> InputError:
    return InputError(path, f"damaged, or not a model file ({error})", "train again, or copy the file again")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as stream:
        # Copies: a tensor mapped from a file would change, or crash the process, when the file is replaced.
        return {name: stream.get_tensor(name).clone() for name in stream.keys()}  # noqa: SIM118 (not a mapping)
