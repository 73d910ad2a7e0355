"""Where and with how many threads a network computes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from medtools.core.errors import InputError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str) -> torch.device:
    """Turn `--device` into a device that exists.

    Parameters
    ----------
    name : str
        `auto` (the first GPU, else the CPU), `cpu`, `cuda` (the first GPU) or `cuda:N`.

    Returns
    -------
    torch.device
        `cpu`, or `cuda:N` with its number.

    Raises
    ------
    InputError
        Unknown name, no GPU, or no GPU of that number.
    """
    import torch

    match = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", name)
    if match is None:
        raise InputError("--device", f"expected auto, cpu, cuda or cuda:N, found {name!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and gpus == 0):
        return torch.device("cpu")
    number = int(match[1] or 0)
    if gpus == 0:
        reason = "this PyTorch is built without CUDA" if torch.version.cuda is None else "no GPU is visible"
        raise InputError("--device", f"{name} asked for, but {reason}", "use --device cpu or auto")
    if number >= gpus:
        raise InputError("--device", f"{name} asked for, but the GPUs are cuda:0 to cuda:{gpus - 1}")
    return torch.device("cuda", number)


@contextlib.contextmanager
def compute_threads(count: int = 1) -> Iterator[None]:
    """Let PyTorch split single operations over `count` threads inside the block.

    Sums of a convolution or a matrix product are split by thread, so their last bits change with the number of
    threads. One thread is therefore the default wherever bytes must not depend on `--threads`; cores are used by
    running folds or subjects side by side.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
