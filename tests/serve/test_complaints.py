"""The page that names a test for each complaint names tests that exist."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "serve" / "complaints.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "name"), re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))
def test_the_tests_exist(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
