"""Recipes are data."""

import json

import pytest

from emf.quantize.recipe import COMPONENT_PRECISIONS, GraphRecipe, Recipe, make_recipe
from emf.runtime import UsageError


@pytest.mark.parametrize("precision", COMPONENT_PRECISIONS[1:])
def test_round_trip_through_json(precision: str) -> None:
    recipe = make_recipe(precision, {"predictor": "fp32"}).with_graph(
        "joiner", GraphRecipe("int8", float_layers=(2, 3))
    )
    assert Recipe.from_document(json.loads(json.dumps(recipe.to_document()))) == recipe


def test_names() -> None:
    assert make_recipe("int8").name == "int8"
    assert make_recipe("int8", {"predictor": "fp32"}).name == "int8+fp32+int8"


def test_only_int8_needs_calibration() -> None:
    assert make_recipe("int8-weight", {"joiner": "int8"}).needs_calibration
    assert not make_recipe("int4-weight").needs_calibration


def test_the_encoders_first_matrix_stays_in_float() -> None:
    assert make_recipe("int8").graphs["encoder"].float_layers == (0,)


@pytest.mark.parametrize(
    ("precision", "components"),
    [("int7", {}), ("int8", {"decoder": "int8"}), ("int8", dict.fromkeys(("encoder", "predictor", "joiner"), "fp32"))],
)
def test_what_makes_no_sense_is_refused(precision: str, components: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="expected"):
        make_recipe(precision, components)
