"""Parameters: one model is options, configuration keys and record."""

from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from medtools.core.errors import InputError
from medtools.core.params import Integers, Names, Numbers, Params, check, defaults_yaml, read_yaml, resolve


class Model(Params):
    """A model with every kind of field."""

    rate: float = Field(0.5, gt=0, description="Rate per second.")
    count: int = 3
    kind: Literal["one", "two"] = "one"
    flag: bool = False
    names: Names = ()
    sizes: Integers = (1, 2)
    weights: Numbers = (0.5,)
    folder: Path = Path("here")
    text: str | None = None


class Needy(Params):
    """A model with a required field."""

    key: int = Field(description="Needed.")
    other: int = 2


def test_later_sources_override_earlier_ones(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("stage:\n  count: 1\n  rate: 1\n  flag: true\n")
    found = resolve(Model, "stage", path, ["count=2", "rate=2"], {"count": 9, "kind": None})
    assert (found.count, found.rate, found.flag, found.kind) == (9, 2.0, True, "one")


def test_dashes_and_underscores_are_the_same(tmp_path):
    class Dashed(Params):
        max_dim: int = 0

    path = tmp_path / "c.yaml"
    path.write_text("max-dim: 1")
    assert resolve(Dashed, "s", path).max_dim == 1
    assert resolve(Dashed, "s", None, ["max-dim=2"]).max_dim == 2


@pytest.mark.parametrize("given_as", ["names=DMN, CB", "names=[DMN, CB]", "names=DMN,CB,"])
def test_lists_may_be_given_with_commas(given_as):
    assert resolve(Model, "s", None, [given_as]).names == ("DMN", "CB")


def test_numbers_in_lists_are_checked():
    assert resolve(Model, "s", None, ["sizes=3,4", "weights=1,2.5"]).weights == (1.0, 2.5)
    with pytest.raises(InputError, match=r"--set: sizes\.1: input should be a valid integer.*found 'x'"):
        resolve(Model, "s", None, ["sizes=3,x"])


@pytest.mark.parametrize(
    ("values", "origins", "expected"),
    [
        ({"rtae": 1}, {"rtae": "c.yaml"}, r"^c\.yaml: unknown key 'rtae'; did you mean 'rate'\?$"),
        ({"zzz": 1}, {}, r"^parameters: unknown key 'zzz'; known keys: rate, count, kind"),
        ({"rate": 0}, {"rate": "--rate"}, r"^--rate: input should be greater than 0, found 0$"),
        ({"rate": 0}, {"rate": "c.yaml"}, r"^c\.yaml: rate: input should be greater than 0, found 0$"),
        ({"rate": float("inf")}, {}, r"rate: input should be a finite number"),
        ({"kind": "three"}, {}, r"kind: input should be 'one' or 'two', found 'three'"),
    ],
)
def test_faults_name_origin_key_expectation_and_finding(values, origins, expected):
    with pytest.raises(InputError, match=expected):
        check(Model, values, origins)


def test_a_missing_required_parameter_is_named():
    with pytest.raises(InputError, match="key: field required"):
        resolve(Needy, "s")


def test_defaults_round_trip_through_yaml():
    text = defaults_yaml(Model)
    assert check(Model, yaml.safe_load(text)) == Model()
    assert "# Rate per second.\nrate: 0.5\n" in text
    assert "# key: (required)\nother: 2\n" in defaults_yaml(Needy)
    assert defaults_yaml(Params) == ""


@given(
    st.builds(
        Model,
        rate=st.floats(1e-9, 1e9),
        count=st.integers(),
        text=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
        names=st.lists(st.text("abcXY", min_size=1)).map(tuple),
    )
)
def test_a_record_of_parameters_gives_the_same_parameters(model):
    assert check(Model, model.model_dump(mode="json")) == model


def test_a_parameter_cannot_change_after_checking():
    with pytest.raises(ValueError, match="frozen"):
        Model().rate = 2


LAUGHS = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
)])  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 2000, "a: " + "[" * 60 + "]" * 60, LAUGHS])
def test_yaml_that_would_exhaust_the_stack_or_the_memory_is_refused(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(path)


def test_anchors_and_merge_keys_serve_as_usual(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("base: &base {rate: 2, names: [a, b]}\nother:\n  <<: *base\n  rate: 3\n")

    assert read_yaml(path)["other"] == {"rate": 3, "names": ["a", "b"]}


@pytest.mark.parametrize("key", [1, True, None, 2.5])
def test_a_key_that_is_no_text_is_named(key):
    with pytest.raises(InputError, match=f"unknown key '{key}'"):
        check(Model, {key: 1})
