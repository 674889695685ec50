"""A calibration in the model itself does what the formula does, wherever the model goes."""

import subprocess
import sys

import numpy as np
import pytest

from search.analysis.calibration import ISOTONIC, TEMPERATURE, Calibration, fitted
from search.export.calibrating import with_calibration
from search.tasks import Classification, MultiLabel

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


def model_of(calibration, task, *, is_single=False):
    import keras

    units = 1 if is_single else 2 if task == TWO else 3
    given = keras.Input((units,))
    activation = "sigmoid" if is_single or task == LABELS else "softmax"
    values = keras.layers.Activation(activation)(given)
    return keras.Model(given, with_calibration(values, calibration, task))


@pytest.mark.parametrize("task", [TWO, THREE, LABELS], ids=["two", "three", "labels"])
@pytest.mark.parametrize("kind", [TEMPERATURE, ISOTONIC])
def test_the_layers_compute_the_formula(kind, task):
    known = Calibration(TEMPERATURE, 2.2) if kind == TEMPERATURE else isotonic(task)
    logits = LOGITS[:, :2] if task == TWO else LOGITS
    found = model_of(known, task).predict(logits, verbose=0)
    assert found == pytest.approx(known.applied(shares(logits, task), task), abs=1e-5)


@pytest.mark.parametrize("kind", [TEMPERATURE, ISOTONIC])
def test_one_output_is_the_second_class(kind):
    known = Calibration(TEMPERATURE, 0.6) if kind == TEMPERATURE else isotonic(TWO)
    second = 1 / (1 + np.exp(-LOGITS[:, :1].astype(np.float64)))
    wanted = known.applied(np.concatenate([1 - second, second], axis=1), TWO)[:, 1:]
    found = model_of(known, TWO, is_single=True).predict(LOGITS[:, :1], verbose=0)
    assert found == pytest.approx(wanted, abs=1e-5)


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
