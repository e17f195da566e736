"""What may be imported by users: these names, and no others. Every other module may move."""

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "emf.runtime": [
        "Alternative",
        "ArtifactError",
        "ArtifactNotFound",
        "AudioError",
        "EmfError",
        "EndpointRules",
        "Engine",
        "EngineMetrics",
        "LanguageModel",
        "MissingDependency",
        "Overloaded",
        "Recognizer",
        "Result",
        "SnapshotError",
        "Stream",
        "StreamClosed",
        "StreamHandle",
        "UsageError",
        "Word",
    ],
    "emf.export": ["ExportOptions", "export_artifact", "load_model", "verify"],
    "emf.quantize": [
        "CalibrationOptions",
        "Recipe",
        "VariantRequest",
        "add_variant",
        "calibrate",
        "evaluate",
        "make_recipe",
    ],
    "emf.serve": ["Transcriber"],
}


@pytest.mark.parametrize("package", PUBLIC)
def test_the_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == PUBLIC[package]
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
        assert getattr(module, name).__doc__, "a public name has a docstring"


@pytest.mark.parametrize(("package", "heavy"), [("emf.export", "torch"), ("emf.quantize", "nncf")])
def test_what_is_heavy_comes_with_the_first_use(package: str, heavy: str) -> None:
    code = (
        f"import sys, {package} as package\n"
        f"assert {heavy!r} not in sys.modules\n"
        f"package.{PUBLIC[package][1]}\n"
        "assert not hasattr(package, 'nonsense')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
