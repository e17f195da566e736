"""Versions of the packages that made something, for its provenance."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def tool_versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
