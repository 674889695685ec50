"""What a hypermodel's own `fit` tunes, found out on made samples, in this process."""

from dataclasses import replace
from pathlib import Path

import pytest

from spaces import DataSpec, SpaceError
from spaces.declaring.__main__ import declare

pytestmark = pytest.mark.slow  # TensorFlow is imported

DATA = DataSpec((6,), 3, "table")
HEAD = """
import keras
import keras_tuner
from pathlib import Path


class Mine(keras_tuner.HyperModel):
    LOSS, UNITS = "sparse_categorical_crossentropy", 3

    def build(self, hp):
        model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(self.UNITS)])
        if hp.Boolean("deep"):
            model.add(keras.layers.Dense(self.UNITS, hp.Choice("last", ["linear", "softmax"])))
        model.compile("sgd", self.LOSS)
        return model
"""
PASSED_ON = """
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)
"""


@pytest.fixture
def declared(tmp_path):
    def of(code, data=DATA):
        path = tmp_path / "mine.py"
        path.write_text(HEAD + code)
        return declare(f"{path}:Mine", data)

    return of


def described(found):
    return {parameter.name: parameter.describe() for parameter, _ in found.parameters}


def test_what_fit_tunes_is_searched_with_its_conditions(declared):
    found = declared(
        """
    def fit(self, hp, model, *args, **kwargs):
        if hp.Boolean("noise"):
            hp.Float("spread", 0.1, 1.0)
        if hp.get("deep"):
            hp.Int("warm", 1, 3)
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)
"""
    )
    assert found.fits
    assert found.set_by_fit == ()
    parameters = {parameter.name: parameter for parameter, _ in found.parameters}
    assert {"deep", "last", "noise", "spread", "warm", "shuffle"} == set(parameters)
    assert parameters["spread"].when == ("noise", True)
    assert parameters["warm"].when == ("deep", True)


def test_arguments_that_fit_sets_itself_are_found_and_left_out(declared):
    found = declared(
        """
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args, batch_size=hp.Choice("batch_size", [8, 32]), epochs=hp.Int("rounds", 1, 9),
            **kwargs
        )
"""
    )
    assert sorted(found.set_by_fit) == ["batch_size", "epochs"]
    assert described(found)["batch_size"] == "8 | 32" or "8" in described(found)["batch_size"]
    assert "rounds" in described(found)


def test_arguments_that_fit_does_not_take_are_left_out(declared):
    found = declared(
        """
    def fit(self, hp, model, x, y, validation_data):
        return model.fit(x, y, validation_data=validation_data, verbose=0)
"""
    )
    assert set(found.set_by_fit) == {"callbacks", "epochs", "batch_size", "verbose"}


def test_an_argument_set_for_some_values_only_is_refused(declared):
    with pytest.raises(SpaceError, match="must set `epochs` for all values"):
        declared(
            """
    def fit(self, hp, model, *args, **kwargs):
        if hp.Boolean("long"):
            return model.fit(*args, epochs=9, **kwargs)
        return model.fit(*args, **kwargs)
"""
        )


@pytest.mark.parametrize(
    ("task", "units", "loss"),
    [
        ("classification", 3, "categorical_crossentropy"),
        ("classification", 3, "sparse_categorical_crossentropy"),
        ("classification", 1, "binary_crossentropy"),
        ("multi-label", 3, "binary_crossentropy"),
        ("regression", 2, "mse"),
    ],
)
def test_targets_are_made_in_the_form_of_the_loss(declared, task, units, loss):
    classes = {"classification": max(units, 2)}.get(task, 0)
    data = replace(DATA, classes=classes, task=task, outputs=classes or units)
    code = f'    LOSS, UNITS = "{loss}", {units}\n'
    found = declared(
        code
        + """
    def fit(self, hp, model, x, y, **kwargs):
        assert len(x) == len(y) and x.shape[1:] == (6,)
        return model.fit(x, y, **kwargs)
""",
        data,
    )
    assert found.fits


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('gone')", "fails on made samples of (6,): KeyError: gone ("),
        ("model.fit(*args, **kwargs)", "it returned nothing. Does it end with `return"),
        ("return model", "it returned a Sequential"),
        ("return model.fit(args[0].as_numpy_iterator())", "as_numpy_iterator"),
    ],
)
def test_a_fit_that_cannot_be_called_is_refused_in_one_sentence(declared, body, words):
    with pytest.raises(SpaceError) as caught:
        declared(f"    def fit(self, hp, model, *args, **kwargs):\n        {body}\n")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_with_which_fit_fails_is_told(declared):
    found = declared(
        """
    def fit(self, hp, model, *args, **kwargs):
        if hp.Choice("size", [3, 30]) == 30:
            raise ValueError("too large")
        return model.fit(*args, **kwargs)
"""
    )
    [notice] = found.notices
    assert notice.startswith("size=30 cannot be built")
    assert "ValueError: too large" in notice


def test_what_fit_writes_is_left_nowhere(declared, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    declared(
        """
    def fit(self, hp, model, *args, **kwargs):
        Path("weights.txt").write_text("made")
        return model.fit(*args, **kwargs)
"""
    )
    assert not list(folder.iterdir())
    assert Path.cwd() == folder


def test_a_fit_that_is_kerastuners_own_is_none(declared):
    assert not declared("").fits
    assert declared(PASSED_ON).fits


def test_several_inputs_and_outputs_are_made_by_name(declared):
    spec = replace(DATA, task="multi-output", classes=0, outputs=4)
    inputs = (("left", spec), ("right", replace(spec, input_shape=(2,))))
    found = declared(
        """
    def build(self, hp):
        left = keras.Input((6,), name="left")
        right = keras.Input((2,), name="right")
        joined = keras.layers.Concatenate()([left, right])
        kind = keras.layers.Dense(3, "softmax", name="kind")(joined)
        size = keras.layers.Dense(1, name="size")(joined)
        model = keras.Model([left, right], {"kind": kind, "size": size})
        model.compile("sgd", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
        return model

    def fit(self, hp, model, x, y, **kwargs):
        assert set(x) == {"left", "right"}
        return model.fit(x, y, shuffle=hp.Boolean("shuffle"), **kwargs)
""",
        replace(spec, kind="several", input_shape=(), inputs=inputs),
    )
    assert "shuffle" in described(found)
