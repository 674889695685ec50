"""Texts that are given to `predict`: as they are, line by line, and in the tables of training."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from search.data.encoders import TextEncoder
from search.data.reading import Reading
from search.errors import DataError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.export.predict import predict_samples
from search.tasks import Classification

ENCODER = TextEncoder(("good", "bad", "film"), length=5, size=10)
PLAIN = Labels(Classification(("a", "b")), encoder=ENCODER)
REVIEWS = replace(PLAIN, reading=Reading(text="review"))


@pytest.fixture
def predicted(tmp_path, monkeypatch):
    """Return the texts that a model would be given, and the notices."""
    monkeypatch.chdir(tmp_path)

    def predicted(labels, *given, column=None, contents=None):
        heard, found = [], []

        def values(folder, model, inputs, labels):
            found.append(inputs)
            return np.zeros((len(inputs), 2))

        monkeypatch.setattr("search.export.predict.load_tensorflow", lambda: None)
        monkeypatch.setattr("search.export.predict.load_model", lambda *_, **__: None)
        monkeypatch.setattr("search.export.predict._values", values)
        (tmp_path / "model").mkdir(exist_ok=True)
        ModelFolder(tmp_path / "model").write("labels.json", json.dumps(labels.to_json()))
        predictions = predict_samples(tmp_path / "model", given, column=column, notify=heard.append)
        texts = [one.sample for one in predictions]
        np.testing.assert_array_equal(found[0], ENCODER.encode(contents or texts))
        return texts, heard

    return predicted


TEXTS = ["good, bad\nfilm", "1.50", " film\u2028good "]
FRAME = pd.DataFrame({"label": ["a", "b", "a"], "review": TEXTS, "other": ["x", "y", "z"]})
WRITTEN = {
    "new.csv": lambda path: FRAME.to_csv(path, index=False),
    "new.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "new.csv.gz": lambda path: FRAME.to_csv(path, index=False),
    "new.parquet": lambda path: FRAME.to_parquet(path),
    "new.jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "new.ndjson": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "new.json": lambda path: FRAME.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_texts_of_a_table_are_those_that_training_reads(tmp_path, predicted, name):
    WRITTEN[name](tmp_path / name)
    assert predicted(REVIEWS, name) == (TEXTS, [])
    assert predicted(REVIEWS, name, column="other") == (["x", "y", "z"], [])
    assert predicted(PLAIN, name, column="review") == (TEXTS, [])
    with pytest.raises(DataError, match="name the column of the texts with `--column`, one of"):
        predicted(PLAIN, name)
    with pytest.raises(DataError, match="must have the column `text` with the texts; it has label"):
        predicted(replace(PLAIN, reading=Reading(text="text")), name)


def test_a_table_of_another_name_is_known_by_the_column_of_texts(tmp_path, predicted):
    FRAME.to_csv(tmp_path / "new.txt", index=False)
    texts, [told] = predicted(REVIEWS, "new.txt")
    assert texts == TEXTS
    assert told == "new.txt is read as a table, as its first line names the column `review`"
    assert len(predicted(PLAIN, "new.txt")[0]) == 5  # lines, as nothing says otherwise


def test_a_table_without_a_header_has_the_texts_in_their_place(tmp_path, predicted):
    labels = replace(PLAIN, reading=Reading(text="1", header="none"), width=2)
    (tmp_path / "new.csv").write_text('a,"good, film"\nb,bad\n')
    assert predicted(labels, "new.csv") == (["good, film", "bad"], [])
    (tmp_path / "short.csv").write_text("good\nbad\n")
    with pytest.raises(DataError, match="must have 2 columns, as the training file"):
        predicted(labels, "short.csv")
    (tmp_path / "new.txt").write_text("good, film\nbad, film\n")
    texts, [told] = predicted(labels, "new.txt")
    assert texts == ["good, film", "bad, film"]
    assert "is read as one text a line; if it is a table" in told


def test_every_line_is_a_text_and_every_other_sign_a_part_of_it(tmp_path, predicted):
    signs = "\v\f\x1c\x1d\x1e\x85\u2028\u2029\r"
    lines = ["good film", "", *(f"good{sign}film" for sign in signs), "  ", "bad"]
    for end in ("\n", "\r\n"):
        for last in ("", end):
            content = end.join(lines) + last
            (tmp_path / "lines.txt").write_bytes(content.encode())
            texts, [told] = predicted(REVIEWS, "lines.txt")
            assert texts == lines
            assert told == "lines.txt: 2 of 13 texts are blank, and predicted as such"


def test_a_file_is_one_text_for_a_model_of_text_files(tmp_path, predicted):
    labels = replace(PLAIN, whole_files=True)
    (tmp_path / "one.txt").write_text("good film\n\nbad film\n")
    (tmp_path / "short.txt").write_text("good")
    contents = ["good film\n\nbad film\n", "good", "bad film"]
    names, [told] = predicted(labels, "one.txt", "short.txt", "bad film", contents=contents)
    assert names == ["one.txt", "short.txt", "bad film"]
    assert told == "one.txt: its 3 lines are one text, as each file of the training was"
    (tmp_path / "blank.txt").write_text(" \n")
    with pytest.raises(DataError, match="holds no text"):
        predicted(labels, "blank.txt")


def test_missing_texts_of_a_table_keep_their_rows(tmp_path, predicted):
    pd.DataFrame({"review": ["good", None, "bad"], "n": 1}).to_csv(
        tmp_path / "new.csv", index=False
    )
    texts, [told] = predicted(REVIEWS, "new.csv")
    assert texts == ["good", "", "bad"]
    assert "1 of 3 texts are blank" in told
    (tmp_path / "blank.txt").write_text("\n\n")
    with pytest.raises(DataError, match="holds no text"):
        predicted(REVIEWS, "blank.txt")


@pytest.mark.parametrize(
    "given",
    [
        "missing.txt",
        "some/reviews",
        "..\\reviews",
        "my reviews.csv",
        "film.pq",
        "/a b/reviews.json",
    ],
)
def test_a_file_that_is_not_there_is_no_text(predicted, given):
    with pytest.raises(DataError) as caught:
        predicted(REVIEWS, given)
    assert f"there is no file {given}" in str(caught.value)
    assert "To predict a text that looks like a file name" in str(caught.value)


def test_a_folder_is_no_text(tmp_path, predicted):
    (tmp_path / "films").mkdir()
    with pytest.raises(DataError, match="films is a folder; name the files in it"):
        predicted(REVIEWS, "films")


def test_texts_are_texts(predicted):
    given = ["a good film.", "Good!", "he/she saw it", "good... bad", "version 1.5", "1.5", ""]
    assert predicted(REVIEWS, *given) == (given, [])
