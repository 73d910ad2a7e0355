"""One list of requirements: environment.yml names what pyproject.toml names, and constraints.txt pins it."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra != "all"]
    return {*project["dependencies"], *(name for names in extras for name in names)}


def test_the_conda_environment_has_the_requirements_of_the_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert set(pip) == declared()
    assert "python>=3.11" in environment["dependencies"]


def test_every_requirement_is_pinned_for_the_tests():
    def plain(name: str) -> str:
        return re.split(r"[<>=\[ ;]", name)[0].lower().replace("_", "-")

    pinned = {plain(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert {plain(name) for name in declared()} <= pinned


def test_the_extra_all_names_every_other_extra_but_the_developers():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set(re.findall(r"[a-z]+", extras["all"][0].partition("[")[2]))
    assert named == set(extras) - {"all", "dev"}
