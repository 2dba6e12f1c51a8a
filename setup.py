"""What pyproject.toml cannot say: all packages of the tree, and the presets beside it as one more.

An editable installation gets a plain path instead, on which type checkers and editors find the package; `config.presets` then finds the
presets in the checkout.
"""

import sys

from setuptools import find_packages, setup

packages = find_packages(include=["cmirnet_cli", "cmirnet_cli.*"])
if "editable_wheel" in sys.argv:
    setup(packages=packages, package_dir={"": "."})
else:
    setup(packages=[*packages, "cmirnet_cli.presets"], package_dir={"cmirnet_cli.presets": "presets"})
