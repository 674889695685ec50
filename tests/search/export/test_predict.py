"""What is given to `predict` is read, and refused where it can be before TensorFlow is loaded."""

import gzip
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from search.cli.predict import _printable
from search.data.encoders import (
    ImageEncoder,
    SequenceEncoder,
    SeveralEncoder,
    TableEncoder,
    TextEncoder,
)
from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange
from search.data.reading import Column, Reading
from search.errors import DataError, SettingsError
from search.export.folder import ModelFolder
from search.export.labels import InputLabels, Labels
from search.export.predict import predict_arrays, predict_batches, predict_samples
from search.export.samples import encode_images, encode_rows, encoded_samples
from search.export.text_files import MAX_FILE_BYTES
from search.tasks import Classification, Regression

COLUMNS = (Column("width"), Column("height"))
TEXTS = Labels(Classification(("a", "b")), encoder=TextEncoder(("good", "bad"), length=5, size=10))
LONG_TEXTS = Labels(
    Classification(("a", "b")), encoder=TextEncoder(("good",), length=1_000_000, size=10)
)
ROWS = Labels(
    Classification(("a", "b")),
    encoder=TableEncoder((1.0, 2.0), (3.0, 1e-300)),
    columns=COLUMNS,
)
IMAGES = Labels(Classification(("a", "b")), encoder=ImageEncoder((8, 8, 1), (8, 8, 1)))

SEQUENCES = Labels(Classification(("a", "b")), encoder=SequenceEncoder(3, (0.0,), (1.0,)))
SEVERAL = Labels(
    Classification(("a", "b")),
    encoder=SeveralEncoder(
        (("left", TableEncoder((0.0,), (1.0,))), ("right", TableEncoder((0.0,), (1.0,))))
    ),
    inputs=(
        InputLabels("left", columns=(Column("x0"),)),
        InputLabels("right", columns=(Column("x0"),)),
    ),
)


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """Return why samples are refused; a model is never loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("search.export.predict.load_tensorflow", lambda: pytest.fail("was loaded"))

    def refusal(labels: Labels, *given: str) -> str:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        ModelFolder(folder).write("labels.json", json.dumps(labels.to_json()))
        with pytest.raises(DataError) as caught:
            predict_samples(folder, given)
        assert len(str(caught.value)) < 500
        return str(caught.value)

    return refusal


@pytest.mark.slow
@pytest.mark.parametrize("labels", [TEXTS, ROWS])
def test_a_file_too_large_is_refused(tmp_path, refusal, labels):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "large must have at most 268,435,456 bytes" in refusal(labels, "large")


def test_a_file_without_a_header_that_lacks_the_labels_before_its_values_is_refused(
    tmp_path, refusal
):
    labels = Labels(
        Classification(("a", "b")),
        encoder=TableEncoder((1.0, 2.0), (3.0, 4.0)),
        columns=(Column("1"), Column("2")),
        reading=Reading(target="0", header="none"),
    )
    (tmp_path / "rows.csv").write_text("1.5,2.5,9.5\n3.5,4.5,9.5\n")  # two values and another
    assert "column 0 must hold a class, a, b" in refusal(labels, "rows.csv")
    assert "it is '1.5'" in refusal(labels, "rows.csv")


@pytest.mark.parametrize("row", ["1.5,2.5,", "0,1.5", "0,1.5,2.5,0"])
def test_a_file_without_a_header_has_as_many_columns_as_the_training_file(tmp_path, refusal, row):
    labels = Labels(
        Regression(("0",)),
        encoder=TableEncoder((1.0,), (3.0,)),
        columns=(Column("1"),),
        reading=Reading(target="0", header="none"),
        width=3 if row != "1.5,2.5," else 4,
    )
    (tmp_path / "rows.csv").write_text(f"{row}\n{row}\n")
    assert f"rows.csv must have {labels.width} columns" in refusal(labels, "rows.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_without_an_end_is_not_read_to_it(refusal):
    assert "/dev/zero" in refusal(ROWS, "/dev/zero")


def test_more_samples_than_memory_is_for_are_refused(tmp_path, refusal):
    (tmp_path / "many.txt").write_text("word\n" * 600)
    assert "at most 536 samples" in refusal(LONG_TEXTS, "many.txt")


def test_raw_pictures_are_counted_by_their_own_size(tmp_path, refusal, monkeypatch):
    monkeypatch.setattr("search.export.samples.MAX_INPUT_BYTES", 100_000)
    large = Labels(
        Classification(("a", "b")), encoder=ImageEncoder((100, 100, 1), (8, 8, 1)), is_raw=True
    )
    for number in range(3):
        Image.new("L", (100, 100), 40 * number).save(tmp_path / f"{number}.png")
    assert "at most 2 samples" in refusal(large, "0.png", "1.png", "2.png")


def test_a_text_longer_than_a_file_name_may_be_is_a_text(tmp_path, monkeypatch):
    class Loaded(Exception):
        pass

    def load() -> None:
        raise Loaded

    monkeypatch.setattr("search.export.predict.load_tensorflow", load)
    ModelFolder(tmp_path).write("labels.json", json.dumps(TEXTS.to_json()))
    with pytest.raises(Loaded):
        predict_samples(tmp_path, ["好" * 200, "a\0b"])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1,1e39", "too far from those the model was trained on"),
        ("1,inf", "line 2: `height` must be finite"),
        ("1,x", "line 2: `height` must be a number; it is 'x'"),
        ("1," + "9" * 100_000, "line 2: `height` must be within"),
        ("1", "line 2"),
        ("1,3", "too far from those the model was trained on"),
        ('"' + "x" * 200_000, "line 2: quotes must be closed"),
    ],
)
def test_a_row_that_is_no_row_is_refused(tmp_path, refusal, row, why):
    (tmp_path / "rows.csv").write_text(f"width,height\n{row}\n")
    assert why in refusal(ROWS, "rows.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"", b"width\n1\n", b"width,height\n"])
def test_what_is_no_table_is_refused(tmp_path, refusal, content):
    (tmp_path / "rows.csv").write_bytes(content)
    assert "rows.csv" in refusal(ROWS, "rows.csv")


CITY = Column("city", "category", ("bergen", "oslo"))
MIXED = Labels(
    Classification(("a", "b")),
    encoder=TableEncoder(
        (1.0, 0.0, 0.5, 0.0), (2.0, 1.0, 0.5, 10.0), (0, 2, 0, 0), (None, None, 0.25, None)
    ),
    columns=(
        Column("width"),
        CITY,
        Column("alive", "truth", ("no", "yes")),
        Column("seen", "date"),
    ),
)


@pytest.fixture
def encoded(tmp_path, monkeypatch):
    """Return what a model of `MIXED` would be given for files, and the notices."""

    def encoded(*given: str) -> tuple[np.ndarray, list[str]]:
        heard: list[str] = []
        found: list[np.ndarray] = []

        def values(folder, model, inputs, labels):
            found.append(inputs)
            return np.zeros((len(inputs), 2))

        monkeypatch.setattr("search.export.predict.load_tensorflow", lambda: None)
        monkeypatch.setattr("search.export.predict.load_model", lambda *_, **__: None)
        monkeypatch.setattr("search.export.predict._values", values)
        ModelFolder(tmp_path).write("labels.json", json.dumps(MIXED.to_json()))
        predict_samples(tmp_path, given, notify=heard.append)
        return found[0], heard

    return encoded


TEXT = """seen,alive,city,note,width
1970-01-01 00:00:05,YES,oslo,x,3
1970-01-01,,Oslo,y,
,no,,z,"1,000.5"
"""
EXPECTED = [
    [1, 0, 1, 1, -1 / 3**0.5, 0.5],
    [0, 0, 0, 0, 3**0.5, 0],
    [499.75, 0, 0, -1, -1 / 3**0.5, 0],
]


@pytest.mark.parametrize("dialect", ["csv", "semicolons", "tabs", "gzip", "parquet", "jsonl"])
def test_rows_are_read_in_every_dialect_that_training_reads(tmp_path, encoded, dialect):
    path = tmp_path / f"rows.{dialect}"
    frame = pd.read_csv(io.StringIO(TEXT), dtype=str, keep_default_na=False)
    match dialect:
        case "semicolons":
            frame.to_csv(path, sep=";", index=False)
        case "tabs":
            frame.to_csv(path, sep="\t", index=False)
        case "gzip":
            path.write_bytes(gzip.compress(TEXT.encode()))
        case "parquet":
            frame["width"] = [3.0, math.nan, 1000.5]
            frame["alive"] = pd.array([True, None, False], "boolean")
            frame["seen"] = pd.to_datetime(pd.Series([5, 0, None]), unit="s")
            frame["city"] = pd.Categorical(["oslo", "Oslo", None])
            frame.to_parquet(path)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case _:
            path.write_text(TEXT)
    found, heard = encoded(str(path))
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-6)
    assert heard == [
        f"{path}: 1 of 3 rows lack width, which no training sample does; it counts as the mean",
        f"{path}: 1 of 3 rows lack city, which no training sample does; it counts as no category",
        f"{path}: 1 of 3 rows have a city that is none of the 2 categories known from training; it"
        " counts as none",
        f"{path}: 1 of 3 rows lack seen, which no training sample does; it counts as the mean",
    ]


def test_rows_in_memory_are_encoded_as_those_in_a_file(tmp_path):
    import pandas as pd

    ModelFolder(tmp_path).write("labels.json", json.dumps(MIXED.to_json()))
    frame = pd.DataFrame(
        {
            "width": [3.0, math.nan, 1000.5],
            "city": ["oslo", "Oslo", None],
            "alive": [True, None, False],
            "seen": pd.to_datetime(pd.Series([5, 0, None]), unit="s"),
            "note": ["x", "y", "z"],
        }
    )
    plain = {
        "width": [3, None, 1000.5],
        "city": ["oslo", "", "NA"],
        "alive": ["yes", "", "no"],
        "seen": [5, 0, None],
    }
    for rows in (frame, plain, plain | {"seen": ["1970-01-01 00:00:05", "1970-01-01", ""]}):
        np.testing.assert_allclose(encode_rows(tmp_path, rows), EXPECTED, rtol=1e-6)


PRICES = Labels(
    Classification(("a", "b")),
    encoder=TableEncoder((0.0, 0.0), (1.0, 1.0)),
    columns=(Column("price", decimal=",", thousands=True), Column("other", decimal=",")),
)


def test_the_decimal_signs_of_the_training_file_are_kept_with_the_model(tmp_path, monkeypatch):
    found: list[np.ndarray] = []
    monkeypatch.setattr("search.export.predict.load_tensorflow", lambda: None)
    monkeypatch.setattr("search.export.predict.load_model", lambda *_, **__: None)
    monkeypatch.setattr(
        "search.export.predict._values",
        lambda folder, model, inputs, labels: found.append(inputs) or np.zeros((len(inputs), 2)),
    )
    ModelFolder(tmp_path).write("labels.json", json.dumps(PRICES.to_json()))
    path = tmp_path / "new.csv"
    path.write_text("price;other\n3.477;0\n")
    predict_samples(tmp_path, [str(path)])
    assert found.pop()[0, 0] == 3477
    predict_samples(tmp_path, [str(path)], decimal=".")
    assert found.pop()[0, 0] == np.float32(3.477)
    for batch in predict_batches(tmp_path, [str(path)], decimal="."):
        assert len(batch) == 1
    assert found.pop()[0, 0] == np.float32(3.477)
    assert encode_rows(tmp_path, {"price": ["3.477"], "other": ["0"]})[0, 0] == 3477
    assert encode_rows(tmp_path, {"price": [3.477], "other": [0]})[0, 0] == np.float32(3.477)
    assert encoded_samples(pd.DataFrame({"price": ["3.477"], "other": [0]}), PRICES)[0, 0] == 3477
    with pytest.raises(DataError, match="may be read in two ways"):
        encode_rows(tmp_path, {"price": ["3.477"], "other": ["0.5"]})


def test_a_model_of_an_earlier_version_takes_the_decimal_sign_of_the_file(tmp_path):
    old = PRICES.to_json()
    for column in old["columns"]:
        column.pop("decimal")
        column.pop("thousands", None)
    ModelFolder(tmp_path).write("labels.json", json.dumps(old))
    assert ModelFolder(tmp_path).labels() == PRICES
    assert encode_rows(tmp_path, {"price": ["999,5"], "other": ["0"]})[0, 0] == 999.5


def test_a_table_for_inputs_with_a_column_of_the_same_name_is_refused(tmp_path, refusal):
    (tmp_path / "rows.csv").write_text("x0,x1\n1,2\n")
    message = refusal(SEVERAL, "rows.csv")
    assert "left, right each have a column `x0`" in message
    assert "Give an .npz file" in message


@pytest.mark.parametrize("content", ["file,label\n", "file\n\n", "label"])
def test_a_list_of_pictures_without_rows_is_refused(tmp_path, refusal, content):
    (tmp_path / "list.csv").write_text(content)
    assert "list.csv must contain rows of data; it has none" in refusal(IMAGES, "list.csv")
    with pytest.raises(DataError, match="must contain rows of data"):
        next(predict_batches(tmp_path / "model", ["list.csv"]))
    if "file" in content:
        with pytest.raises(DataError, match="must contain rows of data"):
            predict_samples(tmp_path / "model", ["list.csv"], column="file")


@pytest.mark.parametrize(
    ("labels", "decimal", "why"),
    [
        (ROWS, ";", "must be `.` or `,`; got ';'"),
        (TEXTS, ",", "decimal sign of tables; the model takes texts"),
        (IMAGES, ",", "decimal sign of tables; the model takes pictures"),
    ],
)
def test_a_decimal_sign_that_would_be_ignored_is_refused(tmp_path, labels, decimal, why):
    ModelFolder(tmp_path).write("labels.json", json.dumps(labels.to_json()))
    with pytest.raises(SettingsError, match=re.escape(why)):
        predict_samples(tmp_path, ["new.csv"], decimal=decimal)


@pytest.mark.parametrize(
    ("labels", "takes", "option"),
    [
        (ROWS, "rows", {"invert": True}),
        (TEXTS, "texts", {"invert": True}),
        (SEQUENCES, "sequences", {"invert": True}),
        (SEVERAL, "several inputs", {"invert": True}),
        (ROWS, "rows", {"column": "path"}),
        (SEQUENCES, "sequences", {"column": "path"}),
        (SEVERAL, "several inputs", {"column": "path"}),
    ],
)
def test_options_for_pictures_are_refused_by_models_of_other_samples(
    tmp_path, labels, takes, option
):
    ModelFolder(tmp_path).write("labels.json", json.dumps(labels.to_json()))
    why = (
        rf"`--{next(iter(option))}` .* of pictures.*; the model takes .*{takes}\. Leave the option"
    )
    with pytest.raises(SettingsError, match=why):
        predict_samples(tmp_path, ["new.csv"], **option)
    with pytest.raises(SettingsError, match=why):
        next(predict_batches(tmp_path, ["new.csv"], **option))


@pytest.mark.parametrize(
    ("labels", "given"), [(IMAGES, ["one.png", "folder"]), (TEXTS, ["a good film", "a bad one"])]
)
def test_a_column_without_a_table_is_refused(tmp_path, labels, given):
    ModelFolder(tmp_path).write("labels.json", json.dumps(labels.to_json()))
    with pytest.raises(SettingsError, match="no input is a table"):
        predict_samples(tmp_path, given, column="path")


def test_a_folder_may_be_named_by_a_text_in_python(tmp_path):
    ModelFolder(tmp_path).write("labels.json", json.dumps(MIXED.to_json()))
    rows = {"width": [1], "city": ["oslo"], "alive": ["no"], "seen": [0]}
    assert len(encode_rows(str(tmp_path), rows)) == 1
    with pytest.raises(DataError, match="is a model for samples of kind table"):
        encode_images(str(tmp_path), np.zeros((1, 28, 28)))
    with pytest.raises(DataError, match="one input"):
        predict_arrays(str(tmp_path), rows)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"width": ["x"]}, "rows, row 1: `width` must be a number; it is 'x'"),
        ({"width": [[1]]}, "`width` must be a sequence of numbers, texts"),
        ({"width": [object()]}, "`width` must be a sequence of numbers, texts"),
        ({"alive": ["perhaps"]}, "`alive` must be no or yes; it is 'perhaps'"),
        ({"width": [1e100]}, "too far from those"),
        ({"width": [1, 2]}, "as many values in each column"),
    ],
)
def test_rows_in_memory_that_do_not_fit_are_refused(tmp_path, change, why):
    ModelFolder(tmp_path).write("labels.json", json.dumps(MIXED.to_json()))
    rows = {"width": [1], "city": ["oslo"], "alive": ["no"], "seen": [0]}
    assert len(encode_rows(tmp_path, rows)) == 1
    with pytest.raises(DataError, match=re.escape(why)):
        encode_rows(tmp_path, rows | change)
    with pytest.raises(DataError, match="missing: width, seen"):
        encode_rows(tmp_path, {"city": ["oslo"], "alive": ["no"]})


def test_names_of_unknown_origin_do_not_steer_the_terminal():
    assert _printable("\x1b]0;title\x07a\r\nb") == "�]0;title�a��b"
    assert _printable("größer 好") == "größer 好"


def test_an_image_model_refuses_what_is_no_picture(tmp_path, refusal):
    np.save(tmp_path / "pixels.npy", np.zeros((8, 8)))
    assert "is not a readable picture" in refusal(IMAGES, "pixels.npy")


@pytest.mark.slow
def test_a_model_exported_by_the_first_version_predicts_as_it_did(tmp_path):
    import keras
    from keras import Sequential, layers

    from tests.search.export.test_folder import FIRST

    folder = ModelFolder(tmp_path)
    keras.utils.set_random_seed(0)
    model = Sequential([layers.Input((2,)), layers.Dense(2, "softmax")])
    model.save(folder.model)
    document = json.loads(FIRST)
    document["files"]["model.keras"]["sha256"] = folder.model_sha256()
    folder.write("labels.json", json.dumps(document))
    rows = np.array([[3.25, 101.5], [7.5, 130.0]])
    (tmp_path / "rows.csv").write_text("length,weight\n101.5,3.25\n130,7.5\n")
    found = predict_samples(tmp_path, [str(tmp_path / "rows.csv")], top=2)
    means, deviations = (np.array(document["input"][name]) for name in ("means", "deviations"))
    expected = np.asarray(model(((rows - means) / deviations).astype(np.float32)))
    probabilities = [[dict(item.values)[name] for name in "01"] for item in found]
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


@pytest.mark.slow
def test_labels_that_do_not_fit_their_model_are_refused(tmp_path):
    from keras import Sequential, layers

    folder = ModelFolder(tmp_path)
    folder.write("labels.json", json.dumps(ROWS.to_json()))
    Sequential([layers.Input((2,)), layers.Dense(3)]).save(folder.model)
    (tmp_path / "rows.csv").write_text("width,height\n1,2\n")
    fault = r"labels.json must fit model.keras; .* 2 classes, the model has input .* 3 outputs"
    with pytest.raises(DataError, match=fault):
        predict_samples(tmp_path, [str(tmp_path / "rows.csv")])


def test_rows_from_memory_are_encoded_as_those_of_a_file():
    words = ["2020-01-01", "oslo", "yes"]
    frame = {"city": ["oslo", "Oslo", None], "alive": [True, None, False], "width": [3.0, None, 7]}
    frame["seen"] = np.array(["1970-01-01T00:00:05", "1970-01-01", "NaT"], "datetime64[s]")
    as_frame = encoded_samples(pd.DataFrame(frame | {"note": words}), MIXED)
    as_rows = encoded_samples(
        np.array(
            [
                [3.0, "oslo", True, "1970-01-01T00:00:05"],
                [None, "Oslo", None, "1970-01-01"],
                [7, None, False, None],
            ],
            object,
        ),
        MIXED,
    )
    assert as_frame.shape == (3, 6)
    np.testing.assert_array_equal(as_rows, as_frame)


def test_samples_from_memory_are_encoded_as_the_study_did():
    pixels = np.arange(128, dtype=np.uint8).reshape(2, 8, 8) * 2
    np.testing.assert_array_equal(encoded_samples(pixels, IMAGES), pixels[..., np.newaxis])
    np.testing.assert_array_equal(
        encoded_samples(["good day", "bad"], TEXTS), [[2, 1, 0, 0, 0], [3, 0, 0, 0, 0]]
    )
    plain = replace(ROWS, encoder=TableEncoder((1.0, 2.0), (3.0, 1.0)))
    for rows in ([[4, 2], [1, 3]], pd.DataFrame({"height": [2, 3], "width": [4, 1]})):
        np.testing.assert_array_equal(encoded_samples(rows, plain), [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("samples", "labels", "why"),
    [
        (np.full((1, 8, 8), 1.5), IMAGES, "whole numbers 0..255, or fractions 0..1"),
        (
            np.full((1, 8, 8), 16.0),
            IMAGES,
            "reach 16 at most. If these are dark pixels, pass them as uint8",
        ),
        (np.zeros((1, 8, 9), np.uint8), IMAGES, "image samples of numbers"),
        (np.zeros((0, 8, 8), np.uint8), IMAGES, "at least one sample; there is none"),
        (np.zeros((0, 8, 8)), IMAGES, "at least one sample"),
        (np.zeros((0, 2)), ROWS, "at least one sample"),
        ([], TEXTS, "at least one sample"),
        ([1.0, 2.0], ROWS, "rows of 2 columns"),
        ([[1.0, 2.0, 3.0]], ROWS, "rows of 2 columns"),
        (np.array([[3.0, 1.0, 1.0, 5.0]]), MIXED, "`seen` must be a date"),  # no stored numbers
        ({"width": [1.0]}, ROWS, "height"),
        ([[1.0, "x", True, 0.0]] * 2, replace(MIXED, columns=MIXED.columns[:2]), "of 2 columns"),
        ([1.5, 2.5], TEXTS, "must hold texts"),
    ],
)
def test_samples_unlike_those_of_the_study_are_refused(samples, labels, why):
    with pytest.raises(DataError, match=why):
        encoded_samples(samples, labels)


FRAME = pd.DataFrame({"width": [4.0, 1.0], "height": [2.0, 3.0]})
PLAIN_ROWS = replace(ROWS, encoder=TableEncoder((1.0, 2.0), (3.0, 1.0)))
SEQUENCES = SequenceEncoder(2, (0.0,), (1.0,))
TWO = Labels(
    Classification(("a", "b")),
    SeveralEncoder((("one", PLAIN_ROWS.encoder), ("two", SEQUENCES), ("three", TEXTS.encoder))),
    inputs=(InputLabels("one", columns=COLUMNS), InputLabels("two"), InputLabels("three")),
)


def test_frames_of_several_inputs_are_taken_by_the_names_of_their_columns(tmp_path):
    rest = {"two": np.zeros((2, 2)), "three": ["good", "bad"]}
    turned = FRAME[["height", "width"]].assign(note="x")
    for rows in (FRAME, turned, {"height": [2, 3], "width": [4, 1]}, FRAME.to_numpy()):
        found = encoded_samples({"one": rows, **rest}, TWO)
        np.testing.assert_array_equal(found["one"], [[1, 0], [0, 1]])
    for wrong, why in (
        (FRAME.rename(columns={"width": "w"}), "the samples, one must have .* missing: width"),
        (FRAME[["height"]], "missing: width"),
    ):
        with pytest.raises(DataError, match=why):
            encoded_samples({"one": wrong, **rest}, TWO)
    with pytest.raises(DataError, match="two must be an array, as the model was trained on seq"):
        encoded_samples({"one": FRAME, **rest, "two": FRAME}, TWO)
    with pytest.raises(DataError, match="three must hold texts; number 2 is of type NoneType"):
        encoded_samples({"one": FRAME, **rest, "three": ["good", None]}, TWO)
    ModelFolder(tmp_path).write("labels.json", json.dumps(TWO.to_json()))
    with pytest.raises(DataError, match=r"one must have .* missing: width"):
        predict_arrays(tmp_path, {"one": FRAME[["height"]], **rest})


def test_a_frame_with_the_columns_of_all_inputs_is_taken_as_the_study_took_it():
    columns = ((Column("width"),), (Column("height"),))
    own = (TableEncoder((1.0,), (3.0,)), TableEncoder((2.0,), (1.0,)))
    labels = Labels(
        Classification(("a", "b")),
        SeveralEncoder((("left", own[0]), ("right", own[1]))),
        inputs=(InputLabels("left", columns=columns[0]), InputLabels("right", columns=columns[1])),
    )
    for frame in (FRAME, FRAME[["height", "width"]], FRAME.to_dict("list")):
        found = encoded_samples(frame, labels)
        np.testing.assert_array_equal(found["left"], [[1], [0]])
        np.testing.assert_array_equal(found["right"], [[0], [1]])
    shared = replace(
        labels, inputs=(labels.inputs[0], replace(labels.inputs[1], columns=columns[0]))
    )
    with pytest.raises(DataError, match="must be a dictionary with those of each input"):
        encoded_samples(FRAME, shared)


def test_a_frame_is_refused_for_what_was_trained_on_an_array():
    labels = replace(PLAIN_ROWS, columns=(Column("x0"), Column("x1")))
    with pytest.raises(DataError, match="whose columns have no names; got a frame with width, hei"):
        encoded_samples(FRAME, labels)
    np.testing.assert_array_equal(encoded_samples(FRAME.to_numpy(), labels), [[1, 0], [0, 1]])


def test_an_array_has_the_columns_that_the_training_left_out():
    labels = replace(PLAIN_ROWS, columns=(Column("x1"), Column("x3")), width=4)
    rows = np.array([[9.0, 4, 9, 2], [9, 1, 9, 3]])
    for given in (rows, rows.tolist(), rows.astype(object)):
        np.testing.assert_array_equal(encoded_samples(given, labels), [[1, 0], [0, 1]])
    for wrong in (rows[:, :2], rows[:, :3]):
        with pytest.raises(DataError, match="must be rows of 4 columns"):
            encoded_samples(wrong, labels)
    before = replace(labels, width=0)  # an earlier version did not store it
    np.testing.assert_array_equal(encoded_samples(rows[:, [1, 3]], before), [[1, 0], [0, 1]])
    with pytest.raises(DataError, match="must be rows of 2 columns"):
        encoded_samples(rows, before)


def test_masked_values_of_an_array_are_gaps():
    rows = np.ma.masked_array([[4.0, 2.0], [9.0, 3.0]], [[False, False], [True, False]])
    np.testing.assert_array_equal(encoded_samples(rows, PLAIN_ROWS), [[1, 0], [0, 1]])


def test_texts_come_from_the_column_that_the_study_took():
    labels, told = replace(TEXTS, reading=Reading(text="t")), []
    frame = pd.DataFrame({"label": ["a", "b"], "t": ["good day", None], "n": [1, 2]})
    found = encoded_samples(frame, labels, told.append)
    np.testing.assert_array_equal(found, [[2, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert told == ["the samples: 1 of 2 texts are blank, and predicted as such"]
    np.testing.assert_array_equal(encoded_samples({"t": ["bad"]}, labels), [[3, 0, 0, 0, 0]])
    with pytest.raises(DataError, match="must have the column `t` with the texts; it has label, n"):
        encoded_samples(frame[["label", "n"]], labels)
    with pytest.raises(DataError, match=r"must be texts, .* Pass its column of texts"):
        encoded_samples(frame, TEXTS)


@pytest.mark.parametrize(
    "texts", [["good", None], pd.Series(["good", np.nan]), np.array(["good", 1.5], object)]
)
def test_what_is_no_text_is_refused_as_in_training(texts):
    with pytest.raises(DataError, match="must hold texts; number 2 is of type"):
        encoded_samples(texts, TEXTS)


def test_texts_of_tensorflow_are_texts():
    found = encoded_samples(np.array([b"good day", b"bad"], object), TEXTS)
    np.testing.assert_array_equal(found, [[2, 1, 0, 0, 0], [3, 0, 0, 0, 0]])


def test_what_no_training_row_had_is_told_of_rows_from_memory():
    frame = pd.DataFrame({"width": [None, 1.0], "city": ["Oslo", None], "alive": ["no", None]})
    frame["seen"] = "1970-01-01"
    lack, have = "the samples: 1 of 2 rows lack", "the samples: 1 of 2 rows have"
    expected = [
        f"{lack} width, which no training sample does; it counts as the mean",
        f"{lack} city, which no training sample does; it counts as no category",
        f"{have} a city that is none of the 2 categories known from training; it counts as none",
    ]
    rows = frame.astype(object).where(frame.notna(), None).to_numpy()
    for given in (frame, rows):
        told = []
        encoded_samples(given, MIXED, told.append)
        assert sorted(told) == sorted(expected)
    told = []
    encoded_samples(np.array([[np.nan, 1.0]]), PLAIN_ROWS, told.append)
    assert told == [
        "the samples: 1 of 1 rows lack width, which no training sample does; it counts as the mean"
    ]


@pytest.mark.parametrize("scaled", [False, True])
def test_images_and_fractions_of_them_become_the_models_input(tmp_path, scaled):
    encoder = ImageEncoder((28, 28, 1), (32, 32, 1), scaled)
    labels = Labels(Classification(("a", "b")), encoder)
    ModelFolder(tmp_path).write("labels.json", json.dumps(labels.to_json()))
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    images[1], images[2] = 0, images[2] // 200  # in uint8 a 1 is nearly black
    expected = encoder.encode(images[..., np.newaxis])
    np.testing.assert_array_equal(encode_images(tmp_path, images), expected)
    for given in (images[[0, 1, 3]].astype(float), images[[0, 1, 3]] / 255):
        np.testing.assert_array_equal(encode_images(tmp_path, given), expected[[0, 1, 3]])


@pytest.mark.parametrize(
    ("images", "rule"),
    [
        (np.zeros((2, 32, 32, 1)), r"\(n, 28, 28, 1\); got float64 \(2, 32, 32, 1\)"),
        (np.full((1, 28, 28), 300.0), "0..255, or fractions 0..1; got float64, 300"),
        (np.full((1, 28, 28), -1.0), "got float64, -1"),
        (np.full((1, 28, 28), np.nan), "got float64, nan"),
    ],
)
def test_arrays_that_are_no_images_of_the_model_are_refused(tmp_path, images, rule):
    encoder = ImageEncoder((28, 28, 1), (32, 32, 1), scaled=True)
    for is_raw in (False, True):
        labels = Labels(Classification(("a", "b")), encoder, is_raw=is_raw)
        ModelFolder(tmp_path).write("labels.json", json.dumps(labels.to_json()))
        with pytest.raises(DataError, match=rule):
            encode_images(tmp_path, images)


@pytest.mark.parametrize(
    ("ranged", "given", "is_taken"),
    [
        (PixelRange(0, 4095, WHOLE), np.full((1, 8, 8), 900, np.uint16), True),
        (PixelRange(0, 4095, WHOLE), np.full((1, 8, 8), 900.0), True),
        (PixelRange(0, 4095, WHOLE), np.full((1, 8, 8), 200, np.uint8), False),
        (PixelRange(0, 4095, WHOLE), np.full((1, 8, 8), 0.5), False),
        (PixelRange(0, 4095, WHOLE), np.full((1, 8, 8), 60_000, np.uint16), False),
        (PixelRange(0, 1.02, FRACTIONS), np.full((1, 8, 8), 0.5), True),
        (PixelRange(0, 1.02, FRACTIONS), np.full((1, 8, 8), 1, np.int64), False),
        (PixelRange(0, 1.02, FRACTIONS), np.full((1, 8, 8), -1.5), False),
        (PixelRange(0, 1, BYTES), np.full((1, 8, 8), True), True),
    ],
)
def test_images_whose_values_are_no_pixels_are_taken_on_their_scale(ranged, given, is_taken):
    encoder = ImageEncoder((8, 8, 1), (8, 8, 1), pixel_range=ranged)
    labels = Labels(Classification(("a", "b")), encoder)
    if is_taken:
        expected = ranged.pixels(given[..., np.newaxis])
        np.testing.assert_array_equal(encoded_samples(given, labels), expected)
        return
    with pytest.raises(DataError, match="on the scale of the training images"):
        encoded_samples(given, labels)
