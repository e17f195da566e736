"""Take pictures of the captions page while it transcribes recordings: on a desk and on a telephone, light and dark.

Example:
    cd export/demo/recordings
    python ../../../tools/picture_captions.py ../../../artifacts/demo digits.flac date.flac commands.flac --seconds 21
    cp pictures/desk-light.png ../../../docs/serve/captions.png

Needs Chromium. Starts emf-serve.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from compare_clients import serving

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.serve.captions.browser import browsing

_PAUSE_SECONDS = 1.8
_SIZES = {"desk": (960, 600), "phone": (390, 844)}


def _joined(recordings: Sequence[Path], path: Path) -> Path:
    pieces = []
    for recording in recordings:
        samples, rate = soundfile.read(recording, dtype="int16")
        pieces += [samples, np.zeros(round(_PAUSE_SECONDS * rate), np.int16)]
    soundfile.write(path, np.concatenate(pieces), rate)
    return path


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("recordings", type=Path, nargs="+", help="joined, with a pause between them")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--seconds", type=float, default=9.0, help="of the recordings, before the first picture")
    parser.add_argument("--at-the-end", action="store_true", help="with confidences, once all is transcribed")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        serving([str(options.artifact)]) as server,
        tempfile.TemporaryDirectory() as folder,
        browsing(Path(folder) / "profile", "--autoplay-policy=no-user-gesture-required") as page,
    ):
        page.open(f"{server.http}/")
        page.choose("#file", _joined(options.recordings, Path(folder) / "speech.wav"))
        time.sleep(options.seconds)
        if options.at_the_end:
            page.wait("document.getElementById('status').textContent === 'Done.'")
            page.value("document.getElementById('confidence').click()")
        for name, (width, height) in _SIZES.items():
            for dark in (False, True):
                page.screenshot(options.out / f"{name}-{'dark' if dark else 'light'}.png", width, height, dark)


if __name__ == "__main__":
    main()
