"""Nothing is reported to anybody: the engines' own packages would, unless told not to."""

import sys
from collections.abc import MutableMapping
from types import ModuleType


def refuse_telemetry() -> None:
    """Keep OpenVINO and NNCF from reporting their use to their makers, which importing them is enough for.

    Both go without the package that reports where they do not find it. Has no effect on what was imported before.
    """
    modules: MutableMapping[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    modules.setdefault("openvino_telemetry", None)
