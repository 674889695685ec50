"""One contract for all formats: what is written predicts what the Keras model does."""

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data.arrays import Several
from search.data.encoders import SeveralEncoder
from search.data.inputs import ImageEncoder, SequenceEncoder, TableEncoder, TextEncoder
from search.data.ranges import WHOLE, PixelRange
from search.data.reading import Column
from search.errors import SettingsError
from search.export.formats import FORMATS, Difference, Samples, chosen_formats, default_formats
from search.export.formats.base import Format
from search.export.formats.naming import named_tensors, plain_outputs
from search.export.formats.writing import ExportFailed, Written, exportable, rehearse, write_formats
from search.export.labels import InputLabels, Labels
from search.export.loading import predicted_values
from search.tasks import (
    Classification,
    LabelOutputs,
    MultiLabel,
    MultiOutput,
    NumberOutputs,
    Regression,
    SeveralOutputs,
)
from search.tasks.classification import LOGITS, Outputs
from search.tasks.multi_output import OutputTask

CHANCE = np.random.default_rng(0)
SAID = ("good, GOOD film", "", "it's bad!", "b a d", "good " * 20)


def images() -> tuple[Any, Labels, Samples]:
    """Images that are padded and scaled, three logits, a layer that differs in training."""
    from keras import Sequential, layers, losses

    encoder = ImageEncoder((10, 10, 1), (12, 12, 1), scaled=True)
    raw = CHANCE.integers(0, 256, (9, 10, 10, 1)).astype(np.uint8)
    model = Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    return (
        model,
        Labels(Classification(("a", "b", "c")), encoder, outputs=Outputs(LOGITS, 3)),
        Samples(raw, encoder.encode(raw)),
    )


def texts() -> tuple[Any, Labels, Samples]:
    """Texts of any length, padding masked, one output for two classes."""
    from keras import Sequential, layers

    encoder = TextEncoder(("good", "bad", "it's", "!"), length=7, size=9)
    model = Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("sgd", "binary_crossentropy")
    return (
        model,
        Labels(Classification(("no", "yes")), encoder),
        Samples(list(SAID), encoder.encode(SAID)),
    )


def rows() -> tuple[Any, Labels, Samples]:
    """Rows far from zero; outputs that do not sum to 1."""
    from keras import Sequential, layers

    encoder = TableEncoder((1000.0, -0.5), (20.0, 0.125))
    raw = np.array([[990, -0.5], [1015.5, -0.375], [1000, -0.75]])
    model = Sequential([layers.Input((2,)), layers.Dense(3, "sigmoid")])
    model.compile("sgd", "categorical_crossentropy")
    labels = Labels(Classification(("a", "b", "c")), encoder, columns=(Column("x"), Column("y")))
    return model, labels, Samples(raw, encoder.encode(raw))


def mixed() -> tuple[Any, Labels, Samples]:
    """Rows with words, dates, gaps, and a category that no training row has."""
    from keras import Sequential, layers

    columns = (
        Column("age (years)"),
        Column("city", "category", ("Bergen", "Oslo", "größe")),
        Column("alive", "truth", ("no", "yes")),
        Column("seen", "date"),
    )
    raw = np.array(
        [
            [33.5, 0, 1, 500],
            [np.nan, 2, 0, 500 + 40],
            [41, np.nan, np.nan, 500 + 80.5],
            [2, 0, 1, np.nan],
        ]
    )
    encoder = TableEncoder.fitted(raw, np.arange(4), columns, (True, True, True, True))
    model = Sequential([layers.Input(encoder.input_shape), layers.Dense(2, "sigmoid")])
    model.compile("sgd", "categorical_crossentropy")
    labels = Labels(Classification(("a", "b")), encoder, columns=columns)
    return model, labels, Samples(raw, encoder.encode(raw))


def ranged() -> tuple[Any, Labels, Samples]:
    """Images whose values are no pixels; they are resized."""
    from keras import Sequential, layers

    encoder = ImageEncoder((9, 7, 1), (5, 5, 1), True, PixelRange(29_000, 31_000, WHOLE))
    raw = CHANCE.integers(0, 256, (6, 9, 7, 1)).astype(np.uint8)
    model = Sequential([layers.Input((5, 5, 1)), layers.Flatten(), layers.Dense(2, "sigmoid")])
    model.compile("sgd", "categorical_crossentropy")
    return model, Labels(Classification(("a", "b")), encoder), Samples(raw, encoder.encode(raw))


def sequences() -> tuple[Any, Labels, Samples]:
    """Sequences off zero, and a recurrent model."""
    from keras import Sequential, layers

    raw = CHANCE.normal((1000, 0), (40, 1e-3), (7, 6, 2))
    encoder = SequenceEncoder.fitted(raw, np.arange(7))
    model = Sequential([layers.Input((6, 2)), layers.GRU(3), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model, Labels(Classification(("a", "b")), encoder), Samples(raw, encoder.encode(raw))


def numbers() -> tuple[Any, Labels, Samples]:
    """Rows, and two numbers of very different sizes that the model gives standardised."""
    from keras import Sequential, layers

    encoder = TableEncoder((1000.0, -0.5), (20.0, 0.125))
    raw = np.array([[990, -0.5], [1015.5, -0.375], [1000, -0.75]])
    model = Sequential([layers.Input((2,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    outputs = NumberOutputs((25_000.0, 1e-4), (180_000.0, -3e-4))
    task = Regression(("price", "drift"))
    labels = Labels(task, encoder, columns=(Column("x"), Column("y")), outputs=outputs)
    return model, labels, Samples(raw, encoder.encode(raw), np.array(outputs.scale))


def single_number() -> tuple[Any, Labels, Samples]:
    """Images, and one number a sample without an axis of its own."""
    import keras
    from keras import layers

    encoder = ImageEncoder((6, 6, 1), (6, 6, 1), scaled=True)
    raw = CHANCE.integers(0, 256, (5, 6, 6, 1)).astype(np.uint8)
    inputs = keras.Input((6, 6, 1))
    found = layers.Reshape(())(layers.Dense(1)(layers.Flatten()(inputs)))
    labels = Labels(Regression(("age",)), encoder, outputs=NumberOutputs((17.5,), (40.0,)))
    return keras.Model(inputs, found), labels, Samples(raw, encoder.encode(raw), np.array([17.5]))


def tags() -> tuple[Any, Labels, Samples]:
    """Texts, and a logit for each label."""
    from keras import Sequential, layers

    encoder = TextEncoder(("good", "bad", "it's", "!"), length=7, size=9)
    model = Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(9, 4),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ]
    )
    labels = Labels(MultiLabel(("new", "long", "kind")), encoder, outputs=LabelOutputs(LOGITS))
    return model, labels, Samples(list(SAID), encoder.encode(SAID))


def everything() -> tuple[Any, Labels, Samples]:
    """Inputs of every kind, in a list, with names that clash; classes and a large number."""
    import keras
    from keras import layers

    _, table, rows = mixed()
    text_encoder = TextEncoder(("good", "bad", "it's", "!"), length=7, size=9)
    series = CHANCE.normal((1000, 0), (40, 1e-3), (4, 6, 2))
    encoders = {
        "x.y": ImageEncoder((6, 6, 1), (8, 8, 1), scaled=True),
        "what was said": text_encoder,
        "person": table.encoder,
        "x_y": SequenceEncoder.fitted(series, np.arange(4)),
    }
    raw = {
        "x.y": CHANCE.integers(0, 256, (4, 6, 6, 1)).astype(np.uint8),
        "what was said": list(SAID[:4]),
        "person": rows.raw,
        "x_y": series,
    }
    taken = {
        name: keras.Input(encoder.input_shape, dtype="int32" if "said" in name else None, name=name)
        for name, encoder in encoders.items()
    }
    words = layers.Embedding(9, 4, mask_zero=True)(taken["what was said"])
    both = layers.Concatenate()(
        [
            layers.Flatten()(layers.Conv2D(2, 3)(taken["x.y"])),
            layers.LSTM(3)(words),
            taken["person"],
            layers.GRU(3)(taken["x_y"]),
        ]
    )
    outputs = {"kind": layers.Dense(3)(both), "price": layers.Dense(1)(both)}
    task = MultiOutput(
        ("kind", "price"),
        (
            OutputTask("kind", Classification(("a", "b", "c"))),
            OutputTask("price", Regression(("price",))),
        ),
    )
    labels = Labels(
        task,
        SeveralEncoder(tuple(encoders.items())),
        outputs=SeveralOutputs(
            (("kind", 3, Outputs(LOGITS, 3)), ("price", 1, NumberOutputs((9e3,), (18e3,))))
        ),
        inputs=tuple(
            InputLabels(name, columns=table.columns if name == "person" else ())
            for name in encoders
        ),
    )
    samples = Several(raw)
    spread = np.array([1, 1, 1, 9e3])
    model = keras.Model(list(taken.values()), outputs, name="x_y")
    return model, labels, Samples(samples, labels.encoder.encode(raw), spread)


def two_answers() -> tuple[Any, Labels, Samples]:
    """Images, and two outputs of classes whose names clash with those of layers."""
    import keras
    from keras import layers

    encoder = ImageEncoder((6, 6, 1), (6, 6, 1), scaled=True)
    raw = CHANCE.integers(0, 256, (5, 6, 6, 1)).astype(np.uint8)
    inputs = keras.Input((6, 6, 1))
    hidden = layers.Dense(4, "tanh")(layers.Flatten()(inputs))
    outputs = {
        "zz top": layers.Dense(2, "softmax")(hidden),
        "inputs": layers.Dense(3, "softmax")(hidden),
    }
    parts = (("zz top", ("no", "yes")), ("inputs", ("x", "y", "z")))
    task = MultiOutput(
        ("zz top", "inputs"), tuple(OutputTask(name, Classification(own)) for name, own in parts)
    )
    model = keras.Model(inputs, outputs, name="zz_top")
    return model, Labels(task, encoder), Samples(raw, encoder.encode(raw))


KINDS = {
    "everything": everything,
    "two answers": two_answers,
    "numbers": numbers,
    "single number": single_number,
    "tags": tags,
    "image": images,
    "ranged": ranged,
    "text": texts,
    "table": rows,
    "mixed": mixed,
    "sequence": sequences,
}


@pytest.fixture(scope="module", params=KINDS)
def made(request):
    return exportable(*KINDS[request.param]())


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
class TestFormatContract:
    def test_what_is_written_predicts_what_the_model_does(self, name, made, tmp_path, caplog):
        form, folder = FORMATS[name], tmp_path / "written"
        folder.mkdir()
        with caplog.at_level(logging.INFO, logger="tensorflow"):  # as in a notebook
            [written] = write_formats([form], made, folder, log=tmp_path / "log")
        assert not [record for record in caplog.records if record.levelno < logging.WARNING]
        assert written.file == form.file
        assert (folder / written.file).exists()
        assert {path.name for path in folder.iterdir()} <= {form.file, *form.more_files}
        assert written.size > 300
        assert written.difference < 5e-6
        assert written.returns == "float32"
        assert made.labels.returns in written.takes
        assert written.runtime.count("==") == 1
        assert written.takes
        assert json.loads(json.dumps(written.to_json()))["bytes"] == written.size

    def test_other_weights_are_found_out(self, name, made, tmp_path):
        form = FORMATS[name]
        form.write(made, tmp_path)
        before = made.model.get_weights()
        try:
            made.model.set_weights([weight + 0.5 for weight in before])
            other = predicted_values(made.model, made.samples.given, made.labels)
        finally:
            made.model.set_weights(before)
        found = form.predict(tmp_path, made.samples, made.labels)
        spread = made.samples.spread
        assert Difference.of(found, other, spread).largest > 1e-3
        assert Difference.of(found, made.expected, spread).largest < 5e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_numbers_come_in_their_own_unit_and_labels_as_probabilities(name, tmp_path):
    model, labels, samples = numbers()
    FORMATS[name].write(exportable(model, labels, samples), tmp_path)
    made = exportable(model, labels, samples)
    found = FORMATS[name].predict(tmp_path, made.samples, made.labels)
    plain = model.predict(samples.encoded, verbose=0).astype(np.float64)
    expected = plain * (25_000.0, 1e-4) + (180_000.0, -3e-4)
    for values in found.values():
        np.testing.assert_allclose(values, expected, rtol=1e-5)

    model, labels, samples = tags()
    folder = tmp_path / "tags"
    folder.mkdir()
    FORMATS[name].write(exportable(model, labels, samples), folder)
    logits = model.predict(samples.encoded, verbose=0).astype(np.float64)
    made = exportable(model, labels, samples)
    for values in FORMATS[name].predict(folder, made.samples, made.labels).values():
        np.testing.assert_allclose(values, 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.slow
def test_numbers_too_large_for_float32_are_float64_or_refused(tmp_path):
    model, labels, samples = numbers()
    day = 86_400.0
    outputs = NumberOutputs((day, 1.0), (1.7e9, 0.0))
    labels = replace(labels, outputs=outputs)
    samples = replace(samples, spread=np.array([day, 1.0]))
    made = exportable(model, labels, samples)
    others = chosen_formats("keras,saved_model,onnx")
    for written in write_formats(others, made, tmp_path, log=tmp_path / "log"):
        assert written.difference < 5e-6
        assert written.returns == "float64"
    with pytest.raises(SettingsError, match=r"tflite: .* need more digits than float32 has"):
        write_formats([FORMATS["tflite"]], made, tmp_path, log=tmp_path / "log")


@pytest.mark.slow
def test_outputs_that_almost_sum_to_one_are_divided_as_in_the_folds(tmp_path):
    model, labels, samples = rows()
    kernel, _ = model.get_weights()
    nearly = np.array([0.2, 0.3, 0.505])  # what a sigmoid a class gives after a good training
    model.set_weights([1e-3 * kernel, np.log(nearly / (1 - nearly))])
    made = exportable(model, labels, samples)
    assert made.expected.sum(axis=1) == pytest.approx(1, abs=1e-6)
    for written in write_formats(
        chosen_formats("keras,onnx"), made, tmp_path, log=tmp_path / "log"
    ):
        assert written.difference < 5e-6


@pytest.mark.slow
def test_words_travel_beside_formats_that_take_tokens(tmp_path):
    made = exportable(*texts())
    FORMATS["onnx"].write(made, tmp_path)
    assert (tmp_path / "vocabulary.txt").read_text().splitlines() == ["good", "bad", "it's", "!"]


@pytest.mark.slow
def test_a_saved_model_takes_words_by_the_column(tmp_path):
    import tensorflow as tf

    model, labels, samples = mixed()
    form = FORMATS["saved_model"]
    form.write(exportable(model, labels, samples), tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    given = {
        "age__years_": [50.0, math.nan],
        "city": ["Paris", " größe"],
        "alive": ["", "TRUE"],
        "seen": [500 + 40, 500 + 5],
    }
    rows = np.array([[50, -1, math.nan, 500 + 40], [math.nan, 2, 1, 500 + 5]])
    expected = exportable(model, labels, Samples(rows, labels.encoder.encode(rows))).expected
    np.testing.assert_allclose(loaded.serve(given).numpy(), expected, atol=1e-6)
    kinds = {n: tf.string if n in ("city", "alive") else tf.float64 for n in given}
    tensors = {name: tf.constant(given[name], kind) for name, kind in kinds.items()}
    (found,) = loaded.signatures["serving_default"](**tensors).values()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert form.details(labels, tmp_path) == {
        "raw_shape": [],
        "tensors": [
            {"name": "age__years_", "column": "age (years)", "type": "float64"},
            {"name": "city", "column": "city", "type": "str"},
            {"name": "alive", "column": "alive", "type": "str"},
            {"name": "seen", "column": "seen", "type": "float64"},
        ],
    }


@pytest.mark.slow
def test_a_saved_model_of_numbers_keeps_their_digits(tmp_path):
    import tensorflow as tf

    model, labels, _ = rows()
    encoder = TableEncoder((1.7e9, 0.0), (20.0, 1.0))
    labels = replace(labels, encoder=encoder)
    some = np.array([[1.7e9 + n, n] for n in range(0, 80, 7)])
    made = exportable(model, labels, Samples(some, encoder.encode(some)))
    form = FORMATS["saved_model"]
    form.write(made, tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert np.abs(loaded.serve(some.tolist()).numpy() - made.expected).max() < 1e-6
    with pytest.raises(TypeError, match="float32"):  # which would have lost digits
        loaded.serve(tf.constant(some, tf.float32))
    told = {"tensor": "tables", "raw_shape": [2], "raw_type": "float64"}
    assert form.details(labels, tmp_path) == told


@pytest.mark.parametrize("name", ["inputs", "probabilities"])
@pytest.mark.slow
def test_a_model_may_be_called_as_its_input_or_its_output(name, tmp_path):
    model, labels, samples = rows()
    model.name = name
    [written] = write_formats(
        chosen_formats("keras"), exportable(model, labels, samples), tmp_path, log=tmp_path / "log"
    )
    assert written.difference < 5e-6


@pytest.mark.slow
def test_names_of_tensors_are_those_of_the_inputs_where_they_can_be():
    _, labels, _ = everything()
    names = {(each.input, each.column): each.name for each in named_tensors(labels)}
    assert names["x_y", ""] == "x_y"
    assert names["x.y", ""] == "x_y_2"
    assert names["what was said", ""] == "what_was_said"
    assert names["person", "age (years)"] == "person_age__years_"


def test_an_output_called_as_an_input_gets_a_name_that_no_other_has():
    parts = tuple(
        OutputTask(name, Classification(("no", "yes"))) for name in ("inputs", "inputs_2", "Price")
    )
    task = MultiOutput(tuple(part.name for part in parts), parts)
    names = plain_outputs(Labels(task, ImageEncoder((6, 6, 1), (6, 6, 1), scaled=True)))
    assert names == {"inputs": "inputs_3", "inputs_2": "inputs_2", "Price": "Price"}


@pytest.mark.slow
def test_a_rehearsal_leaves_nothing(tmp_path):
    rehearse(chosen_formats("keras"), exportable(*rows()), tmp_path, log=tmp_path / "log")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


class _Broken(Format):
    """Writes a file, and predicts or fails as it is told."""

    name, file, runtime = "broken", "broken.bin", "numpy"

    def __init__(self, found: Any) -> None:
        self._found = found

    def write(self, made: Any, folder: Path) -> None:
        (folder / self.file).write_bytes(b"x")

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> Any:
        if isinstance(self._found, Exception):
            raise self._found
        return {"inputs": np.array(self._found, np.float32)}

    def takes(self, labels: Labels) -> str:
        return "nothing"

    def returned(self, made: Any) -> str:
        return "float32"


class _Made:
    labels, samples = (
        Labels(Classification(("a", "b")), TableEncoder((0.0,), (1.0,))),
        Samples(None, None),
    )
    expected = np.array([[0.25, 0.75]], np.float32)


def write(found: Any, folder: Path) -> list[Written]:
    return write_formats([_Broken(found)], _Made(), folder, log=folder / "log")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_model_that_predicts_otherwise_is_refused_with_both_numbers(tmp_path):
    assert write([[0.25, 0.75]], tmp_path)[0].difference == 0
    for found, told in (([[0.2505, 0.7495]], "0.0005"), ([[np.nan, 0.75]], "nan")):
        with pytest.raises(ExportFailed, match=f"within 0.0001 .* largest difference is {told}"):
            write(found, tmp_path)


@pytest.mark.slow
def test_a_model_that_cannot_be_converted_is_refused_with_the_remedy(tmp_path):
    for error in (RuntimeError("no such operation\nat 0x7"), ValueError()):
        with pytest.raises(SettingsError, match="Leave `broken` out of `--format`") as caught:
            write(error, tmp_path)
        assert type(error).__name__ in str(caught.value)
    with pytest.raises(SettingsError, match=r"it gives \(1, 3\) for \(1, 2\)"):
        write([[0.1, 0.2, 0.7]], tmp_path)


def test_keras_is_always_among_the_formats():
    assert [form.name for form in chosen_formats("ONNX, tflite,")] == ["keras", "tflite", "onnx"]
    assert [form.name for form in chosen_formats(default_formats("image"))] == ["keras"]
    assert [f.name for f in chosen_formats(default_formats("text"))] == ["keras", "saved_model"]


def test_an_unknown_format_is_refused_with_the_near_one():
    with pytest.raises(SettingsError, match=r"got 'onx', did you mean onnx\?"):
        chosen_formats("keras,onx")


def test_a_format_whose_packages_are_missing_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr("search.export.formats.base.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"onnx, tf2onnx, onnxruntime.*foldwise\[formats\]"):
        chosen_formats("onnx")
    assert chosen_formats("saved_model")


def test_the_largest_difference_is_named_with_its_way_in():
    expected = np.zeros((1, 2))
    found = {"serve": np.array([[0.0, 0.1]]), "encoded": np.array([[0.0, -0.2]])}
    assert Difference.of(found, expected) == Difference(0.2, "encoded")


@pytest.mark.slow
def test_a_model_of_a_class_of_its_own_is_refused_before_any_training(tmp_path):
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.out = keras.layers.Dense(3, "softmax")

        def call(self, inputs: Any) -> Any:
            return self.out(inputs)

    _, labels, samples = rows()
    model = Own()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model(samples.encoded)
    with pytest.raises(SettingsError, match="models of this space cannot be exported"):
        rehearse(
            chosen_formats("keras"),
            exportable(model, labels, samples),
            tmp_path,
            log=tmp_path / "log",
        )


@pytest.mark.slow
def test_a_model_that_takes_its_shape_from_the_data_is_written_in_all_formats(tmp_path):
    from keras import Sequential, layers

    _, labels, samples = rows()
    model = Sequential([layers.Dense(4), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model(samples.encoded)
    made = exportable(model, labels, samples)
    written = write_formats(list(FORMATS.values()), made, tmp_path, log=tmp_path / "log")
    assert max(each.difference for each in written) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("native", [(28, 28, 1), (24, 26, 3), (64, 64, 1), (20, 45, 3)])
def test_every_runtime_takes_the_datasets_own_images_and_fractions_of_them(
    native, scaled, tmp_path
):
    from keras import Sequential, layers

    encoder = ImageEncoder(native, (32, 32, 1), scaled=scaled)
    raw = np.random.default_rng(1).integers(0, 256, (6, *native)).astype(np.uint8)
    raw[3] = 0
    rescaling = [] if scaled else [layers.Rescaling(1 / 255)]
    model = Sequential([layers.Input((32, 32, 1)), *rescaling, layers.Flatten()])
    model.add(layers.Dense(3, "softmax"))
    labels = Labels(Classification(("a", "b", "c")), encoder)
    made = exportable(model, labels, Samples(raw, encoder.encode(raw)))
    write_formats(
        chosen_formats("keras,saved_model,tflite,onnx"), made, tmp_path, log=tmp_path / "log"
    )
    for given in (raw.astype(np.float32), (raw / 255).astype(np.float32)):
        for found in _run(tmp_path, given):
            np.testing.assert_allclose(found, made.expected, atol=1e-6)


def _run(folder: Path, images: Any) -> list[Any]:
    """What the written models say of images, as their users run them."""
    import onnxruntime
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    served = tf.saved_model.load(str(folder / "saved_model"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    interpreter = Interpreter(str(folder / "model.tflite"))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(taken["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], images)
    interpreter.invoke()
    return [
        served.serve(images).numpy(),
        session.run(None, {"inputs": images})[0],
        interpreter.get_tensor(given["index"]),
    ]
