"""What pyproject.toml cannot say: all packages of the tree, and the presets beside it as one more."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["cmirnet_cli", "cmirnet_cli.*"]), "cmirnet_cli.presets"],
    package_dir={"cmirnet_cli.presets": "presets"},
)
