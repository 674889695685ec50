"""A calibration in the model itself does what the formula does, wherever the model goes."""

import subprocess
import sys

import numpy as np
import pytest

from search.analysis.calibration import ISOTONIC, TEMPERATURE, Calibration, fitted
from search.export.calibrating import with_calibration
from search.export.formats.base import with_values
from search.tasks import Classification, MultiLabel
from search.tasks.classification import LOGITS as LOGITS_OF
from search.tasks.classification import PROBABILITIES, Outputs

pytestmark = pytest.mark.slow  # TensorFlow

TWO, THREE = Classification(("no", "yes")), Classification(("a", "b", "c"))
LABELS = MultiLabel(("a", "b", "c"))
SOURCE = np.random.default_rng(0)
LOGITS = (3 * SOURCE.normal(size=(64, 3))).astype(np.float32)
READ = """
import keras, numpy as np
model = keras.saving.load_model("model.keras")
np.save("found.npy", model.predict(np.load("some.npy"), verbose=0))
"""


def shares(logits, task):
    if task == LABELS:
        return 1 / (1 + np.exp(-logits.astype(np.float64)))
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def isotonic(task):
    """Return a calibration fitted on made-up samples."""
    logits = 2 * np.random.default_rng(1).normal(size=(3_000, 2 if task == TWO else 3))
    values = shares(logits, task)
    if task == LABELS:
        targets = (SOURCE.random(values.shape) < np.sqrt(values)).astype(np.uint8)
    else:
        targets = (values.cumsum(axis=1) > SOURCE.random((3_000, 1))).argmax(axis=1)
    return fitted(ISOTONIC, values**2 if task == LABELS else values, targets, task)


def model_of(calibration, task):
    import keras

    given = keras.Input((2 if task == TWO else 3,))
    activation = "sigmoid" if task == LABELS else "softmax"
    values = keras.layers.Activation(activation)(given)
    return keras.Model(given, with_calibration(values, calibration, task))


@pytest.mark.parametrize("task", [TWO, THREE, LABELS], ids=["two", "three", "labels"])
@pytest.mark.parametrize("kind", [TEMPERATURE, ISOTONIC])
def test_the_layers_compute_the_formula(kind, task):
    known = Calibration(TEMPERATURE, 2.2) if kind == TEMPERATURE else isotonic(task)
    logits = LOGITS[:, :2] if task == TWO else LOGITS
    found = model_of(known, task).predict(logits, verbose=0)
    assert found == pytest.approx(known.applied(shares(logits, task), task), abs=1e-5)


def single_outputs():
    """Yield models of rows whose one output is the second class, as people end them."""
    import keras
    from keras import layers

    given = keras.Input((4,))
    hidden = layers.Dense(8, "relu")(given)
    yield keras.Model(given, layers.Dense(1, "sigmoid")(hidden)), Outputs(PROBABILITIES, 2)
    last = [layers.Dense(1, use_bias=False), layers.Activation("sigmoid")]
    yield keras.Sequential([layers.Input((4,)), *last]), Outputs(PROBABILITIES, 2)
    inner = keras.Sequential([layers.Input((8,)), layers.Dense(1, "sigmoid")])
    yield keras.Model(given, inner(hidden)), Outputs(PROBABILITIES, 2)
    yield keras.Sequential([layers.Input((4,)), layers.Dense(1)]), Outputs(LOGITS_OF, 2)


@pytest.mark.parametrize(("units", "activation"), [(3, "softmax"), (1, "sigmoid")])
def test_coarse_probabilities_are_those_of_the_folds(units, activation):
    """A bfloat16 has 8 bits: a softmax of it misses a sum of 1 by up to a hundredth."""
    import keras
    from keras import layers

    given = keras.Input((4,))
    last = layers.Dense(units, activation, dtype="bfloat16")
    model, outputs = keras.Model(given, last(given)), Outputs(PROBABILITIES, max(2, units))
    rows = SOURCE.normal(size=(200, 4)).astype(np.float32)
    said = np.asarray(keras.ops.convert_to_numpy(model(rows)), np.float32)
    if units == 3:
        assert np.abs(said.sum(axis=1) - 1).max() > 1e-3
    found = np.asarray(keras.Model(given, with_values(model, given, outputs))(rows))
    assert found == pytest.approx(outputs.values(said), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", [TEMPERATURE, ISOTONIC])
def test_a_single_output_is_calibrated_alike_by_keras_and_onnx(tmp_path, kind):
    """It is so sure that 1 - p has lost most of its digits."""
    import keras
    import onnxruntime

    known = Calibration(TEMPERATURE, 6.0) if kind == TEMPERATURE else isotonic(TWO)
    rows = SOURCE.normal(size=(2_000, 4)).astype(np.float32)
    for number, (model, outputs) in enumerate(single_outputs()):
        before = model.predict(rows, verbose=0)
        while np.abs(before - 0.5).mean() < 0.45:
            model.set_weights([2 * each for each in model.get_weights()])
            before = model.predict(rows, verbose=0)
            before = before if outputs.meaning == PROBABILITIES else 1 / (1 + np.exp(-before))
        given = keras.Input((4,))
        values = with_values(model, given, outputs)
        plain = keras.Model(given, values)
        wanted = outputs.values(model.predict(rows, verbose=0))
        assert plain.predict(rows, verbose=0) == pytest.approx(wanted, abs=1e-6)
        made = keras.Model(given, with_calibration(values, known, TWO))
        found = made.predict(rows, verbose=0)
        sure = np.abs(wanted[:, 1] - 0.5) < 0.499  # elsewhere `wanted` lacks the digits
        assert found[sure] == pytest.approx(known.applied(wanted, TWO)[sure], abs=1e-3)
        made(rows)
        path = tmp_path / f"{number}.onnx"
        made.export(path, format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(path)
        [told] = session.run(None, {session.get_inputs()[0].name: rows})
        assert told == pytest.approx(found, abs=1e-5)


def test_no_calibration_adds_nothing():
    assert len(model_of(Calibration(), THREE).layers) == 2


@pytest.mark.parametrize("kind", [TEMPERATURE, ISOTONIC])
def test_keras_alone_onnx_and_tflite_give_the_same(tmp_path, kind):
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    known = Calibration(TEMPERATURE, 2.2) if kind == TEMPERATURE else isotonic(THREE)
    model = model_of(known, THREE)
    wanted = known.applied(shares(LOGITS, THREE), THREE)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "some.npy", LOGITS)
    subprocess.run([sys.executable, "-c", READ], cwd=tmp_path, check=True, capture_output=True)
    assert np.load(tmp_path / "found.npy") == pytest.approx(wanted, abs=1e-5)
    model(LOGITS)  # Keras exports what was called
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    [found] = session.run(None, {session.get_inputs()[0].name: LOGITS})
    assert found == pytest.approx(wanted, abs=1e-5)
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    reader = Interpreter(str(tmp_path / "model.tflite"))
    reader.resize_tensor_input(reader.get_input_details()[0]["index"], LOGITS.shape)
    reader.allocate_tensors()
    reader.set_tensor(reader.get_input_details()[0]["index"], LOGITS)
    reader.invoke()
    found = reader.get_tensor(reader.get_output_details()[0]["index"])
    assert found == pytest.approx(wanted, abs=1e-5)
