"""The main job on one's own texts and tables, from files to predictions."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow

GOOD, BAD = ("good", "fine", "moving", "bright"), ("bad", "dull", "stupid", "long")


def write_texts(path):
    chance = np.random.default_rng(0)
    texts, labels = [], []
    for number in range(120):
        words = chance.choice(GOOD if number % 2 else BAD, size=chance.integers(1, 6))
        texts.append("a " + " ".join(words) + f" film {number}")
        labels.append(number % 2)
    np.savez(path, x=np.array(texts), y=np.array(labels))


def write_table(path):
    chance = np.random.default_rng(0)
    lines = ["width,label,height"]
    for number in range(150):
        kind = number % 3
        width, height = chance.normal((0, 5000, 0)[kind]), chance.normal((0, 0, 0.5)[kind], 0.05)
        lines.append(f"{width:.4f},{kind},{height:.4f}")
    lines += [lines[1], lines[1], lines[2].replace(",1,", ",2,")]  # twice the first, a conflict
    path.write_text("\n".join(lines) + "\n")


def test_texts_are_searched_exported_and_predicted(user):
    write_texts(user.folder / "films.npz")
    done = user.here(
        *("run", "--space", "bilstm", "--dataset", "npz:films.npz", "--trials", "1"),
        *("--no-baselines", "--folds", "2", "--epochs", "4", "--set", "embedding=32"),
        *("--set", "lstm_1_units=32", "--set", "lstm_2_units=16", "--set", "dense_units=16"),
        *("--set", "batch_size=32", "--set", "learning_rate=0.01", "--set", "dropout=0.1"),
        *("--set", "early_stopping=off", "--set", "schedule=constant", "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["study"] == "bilstm-films"
    assert done.json["trials"][0]["scores"]["cv_accuracy"] > 0.8
    assert user.here("export", "bilstm-films", "--to", "model").code == 0
    labels = json.loads((user.folder / "model" / "labels.json").read_text())
    assert {"good", "dull"} <= set(labels["input"]["vocabulary"])
    (user.folder / "more.txt").write_text("moving and bright\n\nlong, stupid\n")
    predicted = user.here("predict", "model", "a fine film", "more.txt", "--json")
    assert predicted.code == 0, predicted.err
    classes = {item["input"]: item["class"] for item in predicted.json}  # a blank text has one, too
    assert classes.pop("") in ("0", "1")
    assert list(classes.items()) == [
        ("a fine film", "1"),
        ("moving and bright", "1"),
        ("long, stupid", "0"),
    ]


def test_tables_are_searched_exported_and_predicted(user):
    write_table(user.folder / "things.csv")
    done = user.here(
        *("run", "--space", "mlp", "--dataset", "csv:things.csv", "--trials", "1", "--folds", "2"),
        *("--no-baselines", "--epochs", "6", "--set", "learning_rate=0.01", "--set"),
        *("batch_size=32", "--drop-duplicates", "--json"),
    )
    assert done.code == 0, done.err
    assert any("leaves out" in notice for notice in done.json["notices"])
    assert done.json["trials"][0]["scores"]["cv_accuracy"] > 0.9
    assert user.here("export", "mlp-things", "--to", "model").code == 0
    (user.folder / "new.csv").write_text("height,width\n0.0,5000\n0.5,0.1\n")
    predicted = user.here("predict", "model", "new.csv", "--json")
    assert predicted.code == 0, predicted.err
    assert [item["class"] for item in predicted.json] == ["1", "2"]
    (user.folder / "new.csv").write_text("height\n0.0\n")
    refused = user.here("predict", "model", "new.csv")
    assert refused.code == 3
    assert "missing: width" in refused.err


def write_patients(path):
    """Write words, truth values, dates, decimal commas and gaps, with semicolons between them."""
    chance = np.random.default_rng(0)
    lines = ["height (m);ward;smokes;seen;unix;outcome"]
    for number in range(150):
        kind, gap = number % 3, number % 10
        height = f"{1.5 + 0.1 * kind + chance.normal(0, 0.02):.4f}".replace(".", ",")
        ward = ("north", "south", "east")[kind if chance.random() < 0.8 else 0]
        smokes = ("yes", "no")[int(chance.random() < 0.5)]
        day = f"2024-0{kind + 1}-{chance.integers(1, 28):02} 08:30:00"
        unix = 1_700_000_000 + 40 * kind + chance.integers(20)
        row = [height, ward, smokes, day, str(unix), ("ill", "well", "so-so")[kind]]
        if gap < 4:
            row[gap] = ("", "NA")[number % 2]
        lines.append(";".join(row))
    path.write_text("\n".join(lines) + "\n")


def test_a_table_as_it_comes_is_searched_and_every_export_of_it_agrees(user):
    write_patients(user.folder / "patients.csv")
    done = user.here(
        *("run", "--space", "mlp", "--dataset", "csv:patients.csv", "--target", "outcome"),
        *("--trials", "1", "--folds", "2", "--no-baselines", "--epochs", "6"),
        *("--set", "learning_rate=0.01", "--set", "batch_size=32", "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["trials"][0]["scores"]["cv_accuracy"] > 0.9
    study, formats = done.json["study"], "keras,saved_model,onnx"
    refused = user.here("export", study, "--to", "model", "--format", f"{formats},tflite")
    assert "its samples need more digits than float32 has" in " ".join(refused.err.split())
    assert user.here("export", study, "--to", "model", "--format", formats).code == 0
    assert user.here("evaluate", study).code == 0
    predicted = user.here("predict", "model", "patients.csv", "--top", "3", "--json")
    assert predicted.code == 0, predicted.err
    classes = ("ill", "so-so", "well")
    expected = np.array([[row["classes"][name] for name in classes] for row in predicted.json])
    for name, found in probabilities_of_exports(user.folder).items():
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)
    (user.folder / "new.csv").write_text(
        'ward,unix,seen,smokes,height (m)\nwest,1700000085,2024-03-05,,"1,71"\n'
    )
    predicted = user.here("predict", "model", "new.csv", "--json")
    assert predicted.json[0]["class"] == "so-so"
    assert "1 of 1 rows have a ward that is none of the 3 categories" in predicted.err


def probabilities_of_exports(folder):
    """Return what each export gives for `patients.csv`, read by pandas."""
    import onnxruntime
    import pandas as pd
    import tensorflow as tf

    from search.export.predict import encode_rows

    frame = pd.read_csv(folder / "patients.csv", sep=";", decimal=",", keep_default_na=True)
    rows = encode_rows(folder / "model", frame)
    assert rows.dtype == np.float64
    seen = pd.to_datetime(frame["seen"])
    loaded = tf.saved_model.load(str(folder / "model" / "saved_model"))
    tensors = {
        "height__m_": frame["height (m)"].to_numpy(),
        "ward": frame["ward"].fillna("").tolist(),
        "smokes": frame["smokes"].fillna("").tolist(),
        "seen": ((seen - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(),
        "unix": frame["unix"].to_numpy(np.float64),
    }
    session = onnxruntime.InferenceSession(folder / "model" / "model.onnx")
    return {
        "saved_model": loaded.serve(tensors).numpy(),
        "onnx": session.run(None, {"inputs": rows})[0],
    }


SERIES_MODEL = """
import keras


def gru(hp):
    model = keras.Sequential()
    model.add(keras.layers.GRU(hp.Int("units", 8, 16, step=8)))
    model.add(keras.layers.Dense(2, "softmax"))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    return model
"""


def write_series(path):
    """Series around 20 whose first feature swings once or three times."""
    swings = 1 + np.arange(160)[:, None] % 2 * 2
    wave = np.sin(np.linspace(0, 6.28, 25)[None] * swings)
    noise = np.random.default_rng(0).normal(size=wave.shape)
    series = 20 + 0.4 * np.stack([wave, noise], -1)
    np.savez(path, x=series, y=np.arange(160) % 2)
    return series


def test_sequences_are_searched_shown_exported_and_predicted(user):
    (user.folder / "series_model.py").write_text(SERIES_MODEL)
    series = write_series(user.folder / "series.npz")
    data = ("--dataset", "npz:series.npz")
    refused = user.here("run", "--space", "mlp", *data)
    assert refused.code == 2
    assert "read as sequences of 25 steps with 2 features" in refused.err
    assert "dataset series holds sequence data. Spaces for it: a build function" in refused.err
    done = user.here(
        *("run", "--space", "series_model.py:gru", *data, "--trials", "1", "--folds", "2"),
        *("--epochs", "10", "--set", "batch_size=16", "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["trials"][0]["scores"]["cv_accuracy"] > 0.9
    shown = user.here("datasets", "npz:series.npz", "--out", "pictures")
    assert "128 training and 32 test sequences of 25 steps with 2 features" in shown.out
    assert "feature 2" in shown.out
    assert {path.name for path in (user.folder / "pictures").iterdir()} == {
        "classes.png",
        "samples.png",
        "correlation.png",
    }
    made = user.here("export", "gru-series", "--to", "model")
    assert made.code == 0, made.err
    assert "saved_model" in made.out
    assert user.here("report", "gru-series").code == 0
    np.save(user.folder / "new.npy", series[:6])
    predicted = user.here("predict", "model", "new.npy", "--json")
    assert [item["class"] for item in predicted.json] == ["0", "1"] * 3
    assert predicted.json[0]["input"] == "new.npy, sequence 1"
    evaluated = user.here("evaluate", "gru-series", "--json")
    assert evaluated.code == 0, evaluated.err


def write_pictures(folder, dtype, high):
    """Two classes of dim pictures; a bright spot in every second one of float pictures."""
    chance = np.random.default_rng(0)
    for number in range(60):
        kind = number % 2
        pixels = (chance.random((8, 8)) * 0.4 + 0.5 * kind) * high
        if dtype == "float32" and number % 4 < 2:
            pixels[0, 0] = 1.02
        path = folder / f"class{kind}" / f"{number:02}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(dtype)).save(path)


@pytest.mark.parametrize(("dtype", "high"), [("uint16", 70), ("float32", 0.9)])
def test_pictures_of_any_depth_are_searched_and_predicted_on_their_scale(user, dtype, high):
    write_pictures(user.folder / "deep", dtype, high)
    done = user.here(
        *("run", "--space", "mlp", "--dataset", "folder:deep", "--trials", "1", "--folds", "2"),
        *("--epochs", "25", "--set", "batch_size=32", "--set", "learning_rate=0.005"),
        *("--set", "dropout=0", "--no-baselines", "--json"),
    )
    assert done.code == 0, done.err
    assert any("becomes black (0)" in told for told in done.json["notices"])
    assert done.json["trials"][0]["scores"]["cv_accuracy"] > 0.9
    made = user.here("export", "mlp-deep", "--to", "model", "--format", "keras,saved_model")
    assert made.code == 0, made.err
    some = [f"deep/class{number % 2}/{number:02}.tif" for number in range(8)]
    predicted = user.here("predict", "model", *some, "--json")
    assert [item["class"] for item in predicted.json] == ["class0", "class1"] * 4
    Image.new("L", (8, 8), 200).save(user.folder / "bytes.png")
    refused = user.here("predict", "model", "bytes.png")
    assert refused.code == 3
    assert "on the scale of the training images" in refused.err


TUNER_MODEL = """
import keras


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.out = keras.layers.Flatten(), keras.layers.Dense(10, "softmax")

    def call(self, inputs):
        return self.out(self.flat(inputs))


def build(hp):
    model = keras.Sequential([keras.layers.Flatten()])
    for layer in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units {layer}", 32, 64, step=32), "relu"))
    model.add(keras.layers.Dense(10))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-2, sampling="log")), loss)
    return model


def own(hp):
    model = Own()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
"""


def test_a_hypermodel_as_it_stands_is_searched_and_exported(user):
    (user.folder / "tuner_model.py").write_text(TUNER_MODEL)
    small = ("--dataset", "digits", "--folds", "2", "--epochs", "3", "--limit-samples", "600")
    done = user.here(
        *("run", "--space", "tuner_model.py:build", *small, "--trials", "2"),
        *("--set", "layers=2", "--set", "batch_size=16", "--no-baselines", "--json"),
    )
    assert done.code == 0, done.err
    for trial in done.json["trials"]:
        assert {"layers", "units 0", "units 1", "rate"} <= set(trial["parameters"])
    assert done.json["best"]["scores"]["cv_accuracy"] > 0.7
    exported = user.here("export", "tuner_model-digits", "--to", "model")
    assert exported.code == 0, exported.err
    assert "epoch 3  loss" in exported.err
    labels = json.loads((user.folder / "model" / "labels.json").read_text())
    assert labels["outputs"] == "probabilities"  # the model's logits become these in the export
    assert labels["input"]["scaled"] is True
    test = json.loads((user.folder / "model" / "metrics.json").read_text())["test"]
    assert test["accuracy"] > 0.7
    assert test["loss"] < 1.5  # of probabilities, not of logits


def test_a_model_that_cannot_be_exported_is_told_before_its_training(user):
    (user.folder / "tuner_model.py").write_text(TUNER_MODEL)
    small = ("--dataset", "digits", "--folds", "2", "--epochs", "1", "--limit-samples", "200")
    done = user.here("run", "--space", "tuner_model.py:own", *small, "--trials", "1", "--json")
    assert done.code == 0, done.err
    refused = user.here("export", "own-digits", "--to", "model")
    assert refused.code == 2
    assert "cannot be exported" in refused.err
    assert "epoch 1" not in refused.err
    assert not (user.folder / "model" / "model.keras").exists()


OWN_PARTS = """
import keras


@keras.saving.register_keras_serializable("mine")
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


def smooth(truth, found):
    return keras.losses.categorical_crossentropy(truth, found, label_smoothing=0.1)


def scaled(hp):
    parts = [keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), Scale()]
    model = keras.Sequential([*parts, keras.layers.Dense(10, "softmax")])
    model.compile("adam", smooth, metrics=["accuracy"])
    return model
"""


def test_a_model_with_parts_of_its_own_is_used_wherever_its_code_is(user):
    (user.folder / "own_parts.py").write_text(OWN_PARTS)
    small = ("--dataset", "digits", "--folds", "2", "--epochs", "2", "--set", "batch_size=8")
    done = user.here("run", "--space", "own_parts.py:scaled", *small, "--trials", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["notices"] == [note for note in done.json["notices"] if "refuse" not in note]
    exported = user.here("export", "scaled-digits", "--to", "model", "--json")
    assert exported.code == 0, exported.err

    Image.fromarray((load_digits().images[0] * 255 / 16).astype("uint8")).save(
        user.folder / "zero.png"
    )
    found = user.here("predict", "model", "zero.png", "--json")
    assert found.code == 0, found.err
    assert found.json[0]["class"] == "0"
    evaluated = user.here("evaluate", "scaled-digits", "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["accuracy"] == exported.json["test"]["accuracy"] > 0.5

    (user.folder / "mlruns").rename(user.folder / "elsewhere")
    refused = user("predict", "model", "zero.png")
    assert refused.code == 3
    assert "without the code of 'mine>Scale'" in refused.err
    named = user("predict", "model", "zero.png", "--space", "own_parts.py:scaled", "--json")
    assert named.json == found.json

    # As the card says.
    load = "keras.saving.load_model('model/model.keras')"
    script = f"import keras, own_parts; print({load}.count_params())"
    assert "as with `import own_parts`" in (user.folder / "model" / "MODEL_CARD.md").read_text()
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        cwd=user.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split()[-1] == str(64 + 650)
