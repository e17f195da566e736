"""The Python in the pages on protocols."""

import re
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "serve"


def snippet(page: str) -> str:
    """The one piece of Python in a page."""
    (found,) = re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)
