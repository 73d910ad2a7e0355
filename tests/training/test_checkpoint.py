"""Model files hold exactly what was put in, in the same bytes, and never run code."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from medtools.core.errors import InputError
from medtools.training.checkpoint import (
    flatten,
    load_checkpoint,
    load_into,
    read_params,
    read_record,
    read_weights,
    save_checkpoint,
    unflatten,
)


def test_a_model_comes_back_bit_by_bit_with_its_parameters(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    params = {"classes": ["HC", "MCI"], "tr": 3000.0, "n": 34, "none": None}

    save_checkpoint(tmp_path / "m.ckpt", model, params, record={"epoch": 7})

    found = load_checkpoint(tmp_path / "m.ckpt")
    assert found.params == params == read_params(tmp_path / "m.ckpt")
    assert read_record(tmp_path / "m.ckpt") == {"epoch": 7}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in model.state_dict().items())


def test_equal_content_gives_equal_bytes(tmp_path):
    tensors = {f"layer{i}": torch.full((i + 1,), float(i)) for i in range(20)}
    for name in "ab":
        save_checkpoint(tmp_path / name, tensors, {"x": 1, "y": [1, 2]})

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_stored(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)

    save_checkpoint(tmp_path / "m", {"a": shared, "b": shared, "c": shared.T}, {})

    assert torch.equal(load_checkpoint(tmp_path / "m").tensors["c"], shared.T)


def test_a_loaded_tensor_survives_the_replacement_of_its_file(tmp_path):
    save_checkpoint(tmp_path / "m", {"a": torch.ones(1000)}, {})
    tensor = load_checkpoint(tmp_path / "m").tensors["a"]
    (tmp_path / "m").write_bytes(b"")

    assert float(tensor.sum()) == 1000


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.integers(0, 9) | st.text(max_size=3)
NESTS = st.recursive(
    LEAVES | st.builds(lambda x: torch.tensor(x), st.floats(width=32, allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def same(one, two) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, list | tuple):
        return type(one) is type(two) and len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict):
        return type(one) is type(two) and list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    return type(one) is type(two) and one == two


@settings(max_examples=50)
@given(NESTS)
def test_flatten_and_unflatten_are_inverse(nest):
    assert same(unflatten(*flatten(nest)), nest)


def test_number_and_text_keys_of_the_same_spelling_stay_apart():
    nest = {0: torch.zeros(1), "0": torch.ones(1), "milestones": Counter([3, 3, 5])}

    assert same(unflatten(*flatten(nest)), nest)


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, b"bytes"])
def test_what_cannot_be_stored_exactly_is_not_stored(value):
    with pytest.raises(TypeError, match="cannot be stored"):
        flatten({"state": value})


class Malicious:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({"a": Malicious()}))
    torch.save({"a": Malicious()}, tmp_path / "zipped.pt")

    for name in ("weights.pt", "zipped.pt"):
        with pytest.raises(InputError, match="neither safetensors nor a PyTorch file of plain tensors"):
            read_weights(tmp_path / name)
        with pytest.raises(InputError, match="not a model file"):
            load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_model_file_is_named(tmp_path, length):
    path = tmp_path / "model.ckpt"
    save_checkpoint(path, {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(InputError, match=r"model\.ckpt: damaged, or not a model file"):
        load_checkpoint(path)


def test_foreign_safetensors_are_weights_but_no_model_file(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")

    assert list(read_weights(tmp_path / "w.safetensors")) == ["a"]
    with pytest.raises(InputError, match="not a model file of medtools"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_a_missing_file_is_named(tmp_path):
    for read in (load_checkpoint, read_params, read_weights):
        with pytest.raises(InputError, match=r"gone: no such"):
            read(tmp_path / "gone")


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_a_pytorch_file_fill_a_model_under_new_names(tmp_path, wrapped):
    source, model = nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2))
    state = {"module." + name: tensor for name, tensor in source.state_dict().items()} | {"module.fc": torch.ones(1)}
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "w.pt")

    load_into(
        model, tmp_path / "w.pt",
        rename=lambda name: None if name.endswith("fc") else name.replace("module.", "0."),
    )  # fmt: skip

    assert torch.equal(model[0].weight, source.weight)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: w.pop("bias"), r"1 missing \(first bias\)"),
        (lambda w: w.update(extra=torch.ones(1)), r"1 unexpected \(first extra\)"),
        (lambda w: w.update(weight=torch.ones(5, 3)), r"weight has shape \(5, 3\), the model needs \(2, 3\)"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(change, named):
    model = nn.Linear(3, 2)
    before, tensors = model.weight.clone(), {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    change(tensors)

    with pytest.raises(InputError, match=named):
        load_into(model, tensors)
    assert torch.equal(model.weight, before)


def test_a_trunk_without_its_head_must_be_asked_for():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    trunk = {"0.weight": torch.zeros(2, 3), "0.bias": torch.zeros(2)}

    load_into(model, trunk, partial=True)

    assert not model[0].weight.any()
    with pytest.raises(InputError, match="2 missing"):
        load_into(model, trunk)
    with pytest.raises(InputError, match="holds no tensor of the model"):
        load_into(model, {}, partial=True)


def test_a_changed_bit_anywhere_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "model.ckpt"
    params = {"classes": ["HC", "MCI"], "lr": 1e-3}
    save_checkpoint(path, {"a": torch.arange(8.0), "b": torch.ones(2)}, params)
    good = path.read_bytes()
    noticed = 0

    for position in range(8 * len(good)):
        changed = bytearray(good)
        changed[position // 8] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found = load_checkpoint(path)
        except InputError:
            noticed += 1
            continue
        assert found.params == params
        assert torch.equal(found.tensors["a"], torch.arange(8.0))

    assert noticed > 0.95 * 8 * len(good)
