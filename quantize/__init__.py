"""Smaller variants of an artifact, and the reports that recommend which one to deploy.

The names below are imported when they are first used: they bring NNCF.
"""

import importlib
from typing import TYPE_CHECKING

from emf.runtime.telemetry import refuse_telemetry

if TYPE_CHECKING:
    from emf.quantize.calibration import CalibrationOptions, calibrate
    from emf.quantize.evaluation import evaluate
    from emf.quantize.recipe import Recipe, make_recipe
    from emf.quantize.variant import VariantRequest, add_variant

__all__ = ["CalibrationOptions", "Recipe", "VariantRequest", "add_variant", "calibrate", "evaluate", "make_recipe"]

_HOMES = {
    "CalibrationOptions": "emf.quantize.calibration",
    "Recipe": "emf.quantize.recipe",
    "VariantRequest": "emf.quantize.variant",
    "add_variant": "emf.quantize.variant",
    "calibrate": "emf.quantize.calibration",
    "evaluate": "emf.quantize.evaluation",
    "make_recipe": "emf.quantize.recipe",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


refuse_telemetry()
