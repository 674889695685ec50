"""Files with sequences that are given to `predict`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data.encoders import SequenceEncoder
from search.errors import DataError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.export.predict import predict_samples
from search.tasks import Classification

SERIES = np.arange(24.0).reshape(3, 4, 2)
ENCODER = SequenceEncoder(4, (10.0, 11.0), (2.0, 4.0))


@pytest.fixture
def encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return the names and the inputs that the model would get."""

    def encoded(*given: Path, encoder: SequenceEncoder = ENCODER) -> tuple[list[str], Any]:
        found: list[Any] = []

        def values(folder: Any, model: Any, inputs: Any, labels: Any) -> Any:
            found.append(inputs)
            return np.zeros((len(inputs), 2))

        monkeypatch.setattr("search.export.predict.load_tensorflow", lambda: None)
        monkeypatch.setattr("search.export.predict.load_model", lambda *_, **__: None)
        monkeypatch.setattr("search.export.predict._values", values)
        content = json.dumps(Labels(Classification(("a", "b")), encoder).to_json())
        ModelFolder(tmp_path).write("labels.json", content)
        predictions = predict_samples(tmp_path, list(map(str, given)))
        return [prediction.sample for prediction in predictions], found[0]

    return encoded


def saved(path: Path, **arrays: Any) -> Path:
    if path.suffix == ".npy":
        np.save(path, arrays["x"])
    else:
        np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("new.npy", {"x": SERIES}),
        ("new.npy", {"x": np.asfortranarray(SERIES)}),
        ("new.npy", {"x": SERIES.astype(np.int16)}),
        ("new.npz", {"whatever": SERIES}),
        ("new.npz", {"x": SERIES, "y": np.arange(3)}),
        ("new.npz", {"x_train": SERIES * 2, "x_test": SERIES, "y_test": np.arange(3)}),
    ],
)
def test_sequences_are_read_and_standardised(tmp_path, encoded, name, arrays):
    path = saved(tmp_path / name, **arrays)
    names, found = encoded(path)
    assert names == [f"{path}, sequence {number}" for number in (1, 2, 3)]
    np.testing.assert_array_equal(found, (SERIES - (10, 11)) / (2, 4))


def test_one_sequence_and_sequences_of_one_feature_need_no_further_axis(tmp_path, encoded):
    path = saved(tmp_path / "one.npy", x=SERIES[1])
    np.testing.assert_array_equal(encoded(path)[1], (SERIES[1:2] - (10, 11)) / (2, 4))
    single = SequenceEncoder(4, (10.0,), (2.0,))
    path = saved(tmp_path / "rows.npy", x=SERIES[..., 0])
    found = encoded(path, encoder=single)[1]
    np.testing.assert_array_equal(found, (SERIES[..., :1] - 10) / 2)


@pytest.mark.parametrize(
    ("name", "arrays", "why"),
    [
        ("new.npy", {"x": SERIES[:, 1:]}, "must hold sequences of numbers, (n, 4, 2)"),
        ("new.npy", {"x": SERIES[..., :1]}, "must hold sequences of numbers, (n, 4, 2)"),
        ("new.npy", {"x": SERIES[:0]}, "holds no sequence"),
        ("new.npy", {"x": SERIES.astype(str)}, "must hold sequences of numbers"),
        ("new.npy", {"x": SERIES.astype(object)}, "pickled data are never opened"),
        ("new.npy", {"x": np.where(SERIES == 13, np.nan, SERIES)}, "[1, 2, 1] is nan"),
        ("new.npy", {"x": SERIES * 1e300}, "too far from those the model was trained on"),
        ("new.npz", {"a": SERIES, "b": SERIES}, "must hold one array, or one called x or X"),
    ],
)
def test_what_are_no_sequences_of_the_model_is_refused(tmp_path, encoded, name, arrays, why):
    path = saved(tmp_path / name, **arrays)
    with pytest.raises(DataError) as caught:
        encoded(path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x05\x06" + b"\0" * 18, b"text"])
def test_damaged_files_are_refused(tmp_path, encoded, content):
    path = tmp_path / "new.npy"
    path.write_bytes(content)
    with pytest.raises(DataError):
        encoded(path)
    with pytest.raises(DataError, match="there is no file"):
        encoded(tmp_path / "none.npy")


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"steps": 10**9},
        {"means": []},
        {"means": [0.0, float("nan")]},
        {"deviations": [1.0, 0.0]},
        {"deviations": [1.0]},
        {"means": "ab"},
        {"wide": None, "steps": None},
    ],
)
def test_damaged_labels_are_refused(tmp_path, change):
    content = Labels(Classification(("a", "b")), ENCODER).to_json()
    content["input"] |= change
    ModelFolder(tmp_path).write("labels.json", json.dumps(content))
    with pytest.raises(DataError, match="is not an exported model"):
        ModelFolder(tmp_path).labels()
