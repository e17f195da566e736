"""Take pictures of a report's page: on a desk and on a telephone, light and dark.

Example:
    emf-report artifacts/demo --audio held_out/an4.tsv --drift-seconds 60 --no-component-matrix
    python tools/picture_report.py report/report.html
    cp pictures/desk-light.png docs/reports/report.png

Pages of emf-bench can be pictured too. Needs Chromium.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.serve.captions.browser import browsing

_SIZES = {"desk": (1100, 1240), "phone": (390, 844)}


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--scroll", type=int, default=0, help="pixels from the top")
    parser.add_argument("--unfold", action="store_true", help="with all details open")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder), "--hide-scrollbars") as page:
        page.open(options.page.resolve().as_uri())
        if options.unfold:
            page.value("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for name, (width, height) in _SIZES.items():
            for dark in (False, True):
                path = options.out / f"{name}-{'dark' if dark else 'light'}.png"
                page.screenshot(path, width, height, dark)
                page.value(f"scrollTo(0, {options.scroll})")
                page.screenshot(path, width, height, dark)


if __name__ == "__main__":
    main()
