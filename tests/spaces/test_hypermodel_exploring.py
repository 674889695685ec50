"""Conditions found in builds; the hyperparameters are KerasTuner's own, the models are left out."""

import pytest

from spaces import Choice, Float, Int, SpaceError
from spaces.keras_tuner.exploring import BUILDS, Explorer, parameters_of
from spaces.keras_tuner.hypermodel import new_hyperparameters

pytestmark = pytest.mark.slow  # KerasTuner imports TensorFlow


def explored(build, compiled=True):
    explorer = Explorer(build, new_hyperparameters)
    explorer.explore()
    made = parameters_of(explorer, compiled=compiled)
    return explorer, {parameter.name: parameter for parameter, _ in made}


def conditions(build):
    return {name: parameter.when for name, parameter in explored(build)[1].items()}


def test_a_loop_over_a_number_of_layers_makes_each_layer_depend_on_it():
    def build(hp):
        for layer in range(hp.Int("layers", 1, 4, default=2)):
            hp.Int(f"units_{layer}", 32, 512, step=32)
            if hp.Boolean(f"drop_{layer}"):
                hp.Float(f"rate_{layer}", 0.0, 0.5, step=0.1)

    found = conditions(build)
    assert found["layers"] is found["units_0"] is found["drop_0"] is None
    assert found["units_1"] == found["drop_1"] == ("layers", (2, 3, 4))
    assert found["units_2"] == ("layers", (3, 4))
    assert found["units_3"] == ("layers", 4)
    assert [found[f"rate_{n}"] for n in range(4)] == [(f"drop_{n}", True) for n in range(4)]
    assert list(found)[:4] == ["layers", "units_0", "drop_0", "rate_0"]


def test_conditional_scopes_are_taken_as_they_are():
    def build(hp):
        kind = hp.Choice("kind", ["mlp", "cnn", "rnn"])
        with hp.conditional_scope("kind", ["cnn", "rnn"]):
            hp.Int("filters", 8, 16)
            hp.Boolean("deep")
            with hp.conditional_scope("deep", [True]):
                hp.Int("depth", 2, 3)
        hp.Int("units", 8, 64, parent_name="kind", parent_values=["mlp"])
        assert kind

    assert conditions(build) == {
        "kind": None,
        "filters": ("kind", ("cnn", "rnn")),
        "deep": ("kind", ("cnn", "rnn")),
        "depth": ("deep", True),
        "units": ("kind", "mlp"),
    }


def test_a_branch_inside_a_conditional_scope_is_found_too():
    def build(hp):
        kind = hp.Choice("kind", ["mlp", "cnn"])
        with hp.conditional_scope("kind", ["cnn"]):
            if kind == "cnn":
                for block in range(hp.Int("blocks", 1, 3)):
                    hp.Int(f"filters {block}", 8, 16)

    found = conditions(build)
    assert found["blocks"] == found["filters 0"] == ("kind", "cnn")
    assert found["filters 1"] == ("blocks", (2, 3))
    assert found["filters 2"] == ("blocks", 3)


def test_a_scope_whose_parent_has_too_many_values_to_try_is_entered():
    def build(hp):
        rate = hp.Float("rate", 0.0, 1.0, default=0.5)
        with hp.conditional_scope("rate", [0.25]):
            if rate == 0.25:
                hp.Int("odd", 1, 3)

    assert conditions(build)["odd"] == ("rate", 0.25)


def test_what_a_default_shows_and_another_value_hides_is_conditional():
    def build(hp):
        if not hp.Boolean("simple") and hp.Boolean("more", default=True):
            hp.Choice("kind", ["a", "b"])

    assert conditions(build) == {
        "simple": None,
        "more": ("simple", False),
        "kind": ("more", True),
    }


def test_what_two_switches_reveal_is_always_searched():
    def build(hp):
        first, second = hp.Boolean("first"), hp.Boolean("second")
        if first or second:
            hp.Float("rate", 0.0, 1.0)

    assert conditions(build)["rate"] is None


def test_what_a_long_range_reveals_is_always_searched():
    def build(hp):
        hp.Boolean("other")
        if hp.Int("width", 1, 100) > 40:
            hp.Boolean("wide")

    assert conditions(build)["wide"] is None


def test_a_number_that_changes_nothing_is_tried_three_times():
    def build(hp):
        hp.Int("units", 1, 16)

    explorer, _ = explored(build)
    assert [shown.values["units"] for shown in explorer.builds] == [1, 16, 9]


def test_equal_parameters_under_several_values_are_one_and_others_are_two():
    def build(hp):
        kind = hp.Choice("kind", ["a", "b", "c"])
        for value, high in (("a", 64), ("b", 64), ("c", 512)):
            with hp.conditional_scope("kind", [value]):
                if kind == value:
                    hp.Int("units", 8, high)

    explorer, found = explored(build)
    assert {name: (p.when, p.high) for name, p in found.items() if name != "kind"} == {
        "units": (("kind", ("a", "b")), 64),
        "units.2": (("kind", "c"), 512),
    }
    assert {original for _, original in parameters_of(explorer, compiled=True)} == {"kind", "units"}


def test_a_value_that_cannot_be_built_is_told_and_not_explored_further():
    def build(hp):
        if hp.Choice("size", ["small", "large"]) == "large":
            hp.Boolean("extra")
            raise ValueError("too large")

    explorer, found = explored(build)
    assert [(params, str(error)) for params, error in explorer.failures] == [
        ({"size": "large"}, "too large")
    ]
    assert found["extra"].when == ("size", "large")
    assert len(explorer.builds) == 2


def test_the_error_of_the_default_build_is_the_users():
    def build(hp):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        explored(build)


def test_the_number_of_builds_is_bounded():
    def build(hp):
        for number in range(BUILDS + 10):
            hp.Boolean(f"switch_{number}")

    explorer, found = explored(build)
    assert len(explorer.builds) == BUILDS
    assert not explorer.is_exhausted
    assert len(found) == BUILDS + 10


def test_a_compiled_models_own_parameters_do_not_steer_the_harness():
    def build(hp):
        hp.Float("rotation", 0.0, 0.5)
        hp.Choice("learning_rate", [0.1, 0.01])
        hp.Choice("batch_size", [32, 64])
        if hp.Boolean("augmentation"):
            hp.Int("epochs", 1, 3)

    explorer, found = explored(build)
    assert list(found) == [
        *("model.rotation", "learning_rate", "batch_size", "model.augmentation", "model.epochs")
    ]
    assert found["model.epochs"].when == ("model.augmentation", True)
    names = [original for _, original in parameters_of(explorer, compiled=True)]
    assert names == ["rotation", "learning_rate", "batch_size", "augmentation", "epochs"]
    assert list(explored(build, compiled=False)[1]) == names


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda hp: hp.Int("p", 6, 13, step=3), Int("p", 6, 12, step=3)),
        (lambda hp: hp.Int("p", 6, 13, default=9), Int("p", 6, 13, default=9)),
        (lambda hp: hp.Int("p", 1, 9, step=2, default=4), Int("p", 1, 9, step=2, default=5)),
        (lambda hp: hp.Int("p", 1, 512, sampling="log"), Int("p", 1, 512, log=True)),
        (lambda hp: hp.Int("p", 2, 40, step=2, sampling="log"), Choice("p", (2, 4, 8, 16, 32))),
        (lambda hp: hp.Int("p", 1, 8, sampling="reverse_log"), Int("p", 1, 8)),
        (lambda hp: hp.Float("p", 0, 0.5, step=0.1), Float("p", 0.0, 0.5, step=0.1)),
        (lambda hp: hp.Float("p", 0, 0.55, step=0.1), Float("p", 0.0, 0.5, step=0.1)),
        (
            lambda hp: hp.Float("p", 0, 0.5, step=0.1, default=0.25),
            Float("p", 0.0, 0.5, step=0.1, default=0.2),
        ),
        (
            lambda hp: hp.Float("p", 1e-4, 1e-2, sampling="log", default=1e-3),
            Float("p", 1e-4, 1e-2, log=True, default=1e-3),
        ),
        (
            lambda hp: hp.Float("p", 1, 100, step=10, sampling="log", default=10),
            Choice("p", (1.0, 10.0, 100.0), default=10.0),
        ),
        (lambda hp: hp.Float("p", 1, 9, sampling="reverse_log"), Float("p", 1.0, 9.0)),
        (lambda hp: hp.Choice("p", [3, 1, 3], default=1), Choice("p", (3, 1), default=1)),
        (lambda hp: hp.Choice("p", ["a"]), Choice("p", ("a",), fixed=True)),
        (lambda hp: hp.Fixed("p", 0.5), Choice("p", (0.5,), fixed=True)),
        (lambda hp: hp.Int("1:a=b//c.", 1, 2), Int("_1_a_b/c.", 1, 2)),
    ],
)
def test_kinds_ranges_and_defaults_are_kept(ask, expected):
    _, found = explored(ask)
    assert list(found.values()) == [expected]


def test_a_range_nobody_can_sample_is_refused():
    with pytest.raises(SpaceError, match="bounds must be finite"):
        explored(lambda hp: hp.Float("p", 0.0, float("inf")))
