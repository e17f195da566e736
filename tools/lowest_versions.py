"""Print the lowest version of everything that `pyproject.toml` states, as constraints for pip.

Example:
    python tools/lowest_versions.py onnxruntime serve > constraints.txt
    pip install --constraint constraints.txt 'emformer-deploy[onnxruntime,serve]'

Names extras; the dependencies of the project itself are always among the lines. `make lowest` installs with it, and
runs what these versions have to do.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LOWEST = (">=", "==", "~=")


def constraints(project: dict[str, Any], extras: Sequence[str]) -> list[str]:
    """`name==version` for each dependency that applies here, by name.

    Args:
        project: the table of this name in `pyproject.toml`.
        extras: to include, beside the project's own dependencies.

    Raises:
        ValueError: an extra is not there, a dependency states no lowest version, or two state different ones.
    """
    found: dict[str, str] = {}
    for requirement in _requirements(project, extras):
        lowest = [one.version for one in requirement.specifier if one.operator in _LOWEST]
        if len(lowest) != 1:
            raise ValueError(f"expected one lowest version such as {requirement.name}>=1.0, found {requirement}")
        if found.setdefault(requirement.name, lowest[0]) != lowest[0]:
            raise ValueError(f"expected one lowest version of {requirement.name}, found {found[requirement.name]} too")
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _requirements(project: dict[str, Any], extras: Sequence[str]) -> Iterator[Requirement]:
    stated = project["optional-dependencies"]
    missing = [extra for extra in extras if extra not in stated]
    if missing:
        raise ValueError(f"expected one of the extras {', '.join(stated)}, found {missing[0]}")
    for line in (*project["dependencies"], *(line for extra in extras for line in stated[extra])):
        requirement = Requirement(line)
        if requirement.name == project["name"]:
            yield from _requirements(project, sorted(requirement.extras))
        elif requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", help="names of extras")
    options = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    try:
        sys.stdout.write("".join(f"{line}\n" for line in constraints(project, options.extras)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
