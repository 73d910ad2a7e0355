"""Map the repository's `cli` and `resources` folders into the one installed package, `medtools`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["medtools", "medtools.*"]), "medtools.cli", "medtools.resources"],
    package_dir={"medtools": "medtools", "medtools.cli": "cli", "medtools.resources": "resources"},
    package_data={"medtools": ["systems/*/card.yaml"], "medtools.resources": ["*"]},
)
