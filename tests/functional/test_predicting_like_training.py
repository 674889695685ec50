"""What a study was given, in files or from Python, is predicted as it was trained and tested."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from search import run_study
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
