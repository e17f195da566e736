"""Export the demo model for both engines: python -m tests.make_demo_artifact FOLDER."""

import sys
from pathlib import Path

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.model import load_model
from emf.runtime.inference.session import BACKENDS
from tests.signals import speech_like

if __name__ == "__main__":
    export_artifact(load_model("demo"), Path(sys.argv[1]), ExportOptions(BACKENDS, speech_like(3.0)))
