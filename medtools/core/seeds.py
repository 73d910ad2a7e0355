"""Seeds: one seed per run, and as many independent streams as a method needs, each with its own name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import sys
from collections.abc import Iterator

import numpy as np


def child_seed(seed: int, *names: str | int, bits: int = 63) -> int:
    """Derive the seed of a named stream, the same on every machine and in every process.

    Parameters
    ----------
    seed : int
        The run's seed.
    *names : str or int
        What the stream is for, for instance `"order", epoch`.
    bits : int
        Size of the result; scikit-learn takes at most 32 bits.

    Returns
    -------
    int
        In [0, 2**bits). Different names give unrelated values (SHA-256).
    """
    text = json.dumps([int(seed), *names], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> (64 - bits)


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator of its own for a named stream."""
    return np.random.default_rng(child_seed(seed, *names))


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and, where it is loaded, PyTorch on CPU and GPUs.

    Our own code never draws from global generators; layers (dropout, initialisation) and third-party code do.
    """
    random.seed(seed)
    np.random.seed(child_seed(seed, "numpy", bits=32))
    torch = sys.modules.get("torch")
    if torch is not None:
        # torch.manual_seed would also note a stack trace for each kind of device that is not there: a millisecond.
        torch.default_generator.manual_seed(seed)
        if torch.version.cuda is not None:
            torch.cuda.manual_seed_all(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under `seed_everything(seed)` and put the global generators back as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.random.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else []
    seed_everything(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch is not None and torch_state is not None:
            torch.random.set_rng_state(torch_state)
            if cuda_states:
                torch.cuda.set_rng_state_all(cuda_states)
