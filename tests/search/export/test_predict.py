"""What is given to `predict` is read, and refused where it can be before TensorFlow is loaded."""

import json
from pathlib import Path

import numpy as np
import pytest

from search.cli.export import _printable
from search.data.inputs import ImageEncoder, TableEncoder, TextEncoder
from search.data.reading import Column
from search.errors import DataError
from search.export.folder import Labels, ModelFolder
from search.export.predict import MAX_FILE_BYTES, predict_samples

COLUMNS = (Column("width"), Column("height"))
TEXTS = Labels(classes=("a", "b"), encoder=TextEncoder(("good", "bad"), length=5, size=10))
LONG_TEXTS = Labels(classes=("a", "b"), encoder=TextEncoder(("good",), length=1_000_000, size=10))
ROWS = Labels(
    classes=("a", "b"),
    encoder=TableEncoder((1.0, 2.0), (3.0, 1e-300)),
    columns=COLUMNS,
)
IMAGES = Labels(classes=("a", "b"), encoder=ImageEncoder((8, 8, 1), (8, 8, 1)))


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


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_without_an_end_is_not_read_to_it(refusal):
    assert "/dev/zero" in refusal(ROWS, "/dev/zero")


def test_more_samples_than_memory_is_for_are_refused(tmp_path, refusal):
    (tmp_path / "many.txt").write_text("word\n" * 600)
    assert "at most 536 samples" in refusal(LONG_TEXTS, "many.txt")


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
        ("1,1e39", "within float32"),
        ("1,nan", "within float32"),
        ("1," + "9" * 100_000, "within float32"),
        ("1", "within float32"),
        ("1,3", "too far from those the model was trained on"),
        ('"' + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_a_row_that_is_no_row_is_refused(tmp_path, refusal, row, why):
    (tmp_path / "rows.csv").write_text(f"width,height\n{row}\n")
    assert why in refusal(ROWS, "rows.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"", b"width\n1\n", b"width,height\n"])
def test_what_is_no_table_is_refused(tmp_path, refusal, content):
    (tmp_path / "rows.csv").write_bytes(content)
    assert "rows.csv" in refusal(ROWS, "rows.csv")


def test_names_of_unknown_origin_do_not_steer_the_terminal():
    assert _printable("\x1b]0;title\x07a\r\nb") == "�]0;title�a��b"
    assert _printable("größer 好") == "größer 好"


def test_an_image_model_refuses_what_is_no_picture(tmp_path, refusal):
    np.save(tmp_path / "pixels.npy", np.zeros((8, 8)))
    assert "is not a readable picture" in refusal(IMAGES, "pixels.npy")


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
