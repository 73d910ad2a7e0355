"""Devices are taken by name, and an absent one is said to be absent."""

from __future__ import annotations

import pytest
import torch

from medtools.core.devices import compute_threads, resolve_device
from medtools.core.errors import InputError


@pytest.fixture(params=[0, 2])
def gpus(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


def test_auto_takes_the_first_gpu_or_the_cpu(gpus):
    assert str(resolve_device("auto")) == ("cuda:0" if gpus else "cpu")
    assert str(resolve_device("cpu")) == "cpu"


@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("cuda:1", 1)])
def test_a_gpu_is_taken_by_number_if_it_is_there(gpus, name, number):
    if gpus:
        assert resolve_device(name) == torch.device("cuda", number)
    else:
        with pytest.raises(InputError, match=f"--device: {name} asked for, but .*; use --device cpu or auto"):
            resolve_device(name)


def test_a_number_beyond_the_last_gpu_is_refused(gpus):
    with pytest.raises(InputError, match="cuda:2 asked for"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:-1", "CPU", "mps", "cuda:0\n"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="expected auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_threads_are_set_inside_the_block_only():
    before = torch.get_num_threads()

    def fail_inside() -> None:
        with compute_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert torch.get_num_threads() == before
