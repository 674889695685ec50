"""What a study was given, in files or from Python, is predicted as it was trained and tested."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from search import DataError, Notice, run_study
from search.export.predict import predict_samples

pytestmark = pytest.mark.slow

SMALL = {"trials": 1, "folds": 2, "executor": "inline", "confirm": 0}
QUIET = {"notify": lambda _: None}


def test_pictures_of_several_sizes_are_predicted_as_they_were_tested(tmp_path):
    source = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 30)):
        for name in ("left", "right"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                height, width = (16, 64) if number % 3 == 0 else (16, 16)
                pixels = source.integers(0, 80, (height, width))
                band = slice(width // 8) if name == "left" else slice(-(width // 8), None)
                pixels[:, band] += 120
                clear = np.where(source.random(pixels.shape) < 0.1, 0, 255)
                layers = np.stack([pixels, clear], axis=-1).astype(np.uint8)
                Image.fromarray(layers, "LA").save(folder / f"{number:03}.png")

    def build(hp):
        layers = [keras.layers.Input((16, 16, 1)), keras.layers.Flatten()]
        model = keras.Sequential(
            [*layers, keras.layers.Dense(hp.Int("units", 8, 9)), keras.layers.Dense(2, "softmax")]
        )
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        return model

    result = run_study(
        build, dataset=f"folder:{tmp_path / 'pictures'}", epochs=8, home=tmp_path, **SMALL, **QUIET
    )
    result.export(tmp_path / "model", formats=["keras"], **QUIET)
    tested = json.loads((tmp_path / "model" / "metrics.json").read_text())["test"]["accuracy"]
    told = []
    found = predict_samples(
        tmp_path / "model", [str(tmp_path / "pictures" / "test")], notify=told.append
    )
    right = [one.sample.split("/")[-2] == one.values[0][0] for one in found]
    assert np.mean(right) == pytest.approx(tested, abs=1e-6)
    assert tested > 0.9
    assert told == []


WORDS = {"neg": ("dull", "awful", "poor"), "pos": ("fine", "lovely", "great")}


def reviews(count):
    source = np.random.default_rng(0)
    rows = []
    for number in range(count):
        label = ("neg", "pos")[number % 2]
        rows.append((label, f"{' '.join(source.choice(WORDS[label], 3))}, film {number}"))
    return pd.DataFrame(rows, columns=["label", "review"])


TEXT_SPACE = """
from spaces import Int, Space, TextInput

def build(parameters, data):
    from keras import Sequential, layers

    embedding = layers.Embedding(data.vocabulary, parameters["units"])
    found = layers.Dense(data.classes, "softmax")
    pooling = layers.GlobalAveragePooling1D()
    return Sequential([layers.Input((None,), dtype="int32"), embedding, pooling, found])

SPACE = Space(
    name="short",
    inputs=TextInput(vocabulary=100, length=8),
    parameters=(Int("units", 4, 8, default=8),),
    baselines={"plain": {}},
    build=build,
)
"""


@pytest.mark.parametrize("form", ["file", "frame"])
def test_texts_are_predicted_from_the_table_that_they_were_trained_on(tmp_path, form):
    frame = reviews(60)
    frame.to_csv(tmp_path / "reviews.csv", index=False)
    (tmp_path / "short.py").write_text(TEXT_SPACE)
    data = {"dataset": f"csv:{tmp_path / 'reviews.csv'}"} if form == "file" else {"data": frame}
    more = {"text": "review", "epochs": 2, "home": tmp_path / "home"}
    result = run_study(f"{tmp_path / 'short.py'}:SPACE", **data, **more, **SMALL, **QUIET)
    result.export(tmp_path / "model", formats=["keras"], **QUIET)
    model = result.best_model()
    expected = model.predict(frame["review"])
    np.testing.assert_allclose(model.predict(frame[["review", "label"]]), expected, atol=1e-6)
    found = predict_samples(tmp_path / "model", [str(tmp_path / "reviews.csv")], top=2)
    assert [one.sample for one in found] == list(frame["review"])
    values = [[dict(one.values)[name] for name in model.target_names] for one in found]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    with pytest.raises(DataError, match="number 2 is of type NoneType"):
        model.predict(["a great film", None])


def test_a_text_file_is_predicted_as_one_text_as_those_of_the_training_were(tmp_path):
    for number, (label, review) in enumerate(reviews(60).to_numpy()):
        folder = tmp_path / "reviews" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.txt").write_text(review.replace(", ", ",\n\n"))
    (tmp_path / "short.py").write_text(TEXT_SPACE)
    more = {"epochs": 2, "home": tmp_path / "home"}
    dataset = f"folder:{tmp_path / 'reviews'}"
    result = run_study(f"{tmp_path / 'short.py'}:SPACE", dataset=dataset, **more, **SMALL, **QUIET)
    result.export(tmp_path / "model", formats=["keras"], **QUIET)
    model, told = result.best_model(), []
    path = tmp_path / "reviews" / "pos" / "01.txt"
    [found] = predict_samples(tmp_path / "model", [str(path)], top=2, notify=told.append)
    expected = model.predict([path.read_text()])[0]
    values = [dict(found.values)[name] for name in model.target_names]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert found.sample == str(path)
    assert told == [f"{path}: its 3 lines are one text, as each file of the training was"]


def test_frames_by_input_are_predicted_by_the_names_of_their_columns(tmp_path):
    source = np.random.default_rng(0)
    people = pd.DataFrame({"age": source.normal(50, 10, 80), "bmi": source.normal(25, 3, 80)})
    others = pd.DataFrame({"z": source.normal(size=80)})
    costs = people["age"].to_numpy() / 10

    def build(hp):
        one, two = keras.layers.Input((2,), name="a"), keras.layers.Input((1,), name="b")
        joined = keras.layers.Concatenate()([one, two])
        hidden = keras.layers.Dense(hp.Int("units", 4, 8), "relu")(joined)
        return keras.Model([one, two], keras.layers.Dense(1)(hidden))

    given = {"a": people, "b": others}
    result = run_study(build, data=(given, costs), epochs=2, home=tmp_path, **SMALL, **QUIET)
    model = result.best_model(**QUIET)
    expected = model.predict(given)
    turned = {"a": people[["bmi", "age"]], "b": others}
    np.testing.assert_array_equal(model.predict(turned), expected)
    arrays = {name: frame.to_numpy() for name, frame in given.items()}
    np.testing.assert_array_equal(model.predict(arrays), expected)
    with pytest.raises(DataError, match="missing: age"):
        model.predict({"a": people[["bmi"]], "b": others})


def test_an_array_is_predicted_as_it_was_passed_and_what_is_new_in_it_is_told(tmp_path):
    source = np.random.default_rng(0)
    rows = np.column_stack([np.arange(80), source.normal(size=80), source.normal(size=80)])
    rows[5, 1] = np.nan
    labels = (rows[:, 2] > 0).astype(int)
    result = run_study("mlp", data=(rows, labels), epochs=2, home=tmp_path, **SMALL, **QUIET)
    model = result.best_model(**QUIET)
    assert [column.name for column in model.labels.columns] == ["x1", "x2"]
    expected = model.predict(rows)
    frame = pd.DataFrame(rows, columns=["x0", "x1", "x2"])[["x2", "x1"]]
    np.testing.assert_array_equal(model.predict(frame), expected)
    with pytest.raises(DataError, match="rows of 3 columns"):
        model.predict(rows[:, 1:])
    rows[0, 2] = np.nan
    with pytest.warns(Notice, match="1 of 80 rows lack x2, which no training sample does") as told:
        model.predict(rows)
    assert [each.filename for each in told] == [__file__]
