"""Small data of every kind, made here, equal at every call; at most 360 samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SAMPLES = 240


def _random() -> np.random.Generator:
    return np.random.default_rng(17)


def _pictures(random: np.random.Generator, size: int = 12) -> tuple[Array, Array]:
    """Return grey pictures `(n, size, size)`, uint8, and which corner of each is bright."""
    pictures = random.integers(0, 90, (SAMPLES, size, size), dtype=np.uint8)
    corners = random.integers(0, 4, SAMPLES)
    half = size // 2
    for picture, corner in zip(pictures, corners, strict=True):
        row, column = divmod(int(corner), 2)
        picture[row * half : (row + 1) * half, column * half : (column + 1) * half] += 150
    return pictures, corners


def classes() -> tuple[Array, Array]:
    """A table of three classes."""
    rows = _random().normal(size=(SAMPLES, 6))
    return rows, (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0.3)


def two_classes() -> tuple[Array, Array]:
    """A table of two classes."""
    random = _random()
    rows = random.normal(size=(SAMPLES, 6))
    return rows, (rows[:, 0] + random.normal(0, 0.5, SAMPLES) > 0).astype(int)


def rare_class() -> tuple[Array, Array]:
    """A table of two classes, of which one has a tenth of the samples."""
    rows = _random().normal(size=(SAMPLES, 6))
    return rows, (rows[:, 0] > np.quantile(rows[:, 0], 0.9)).astype(int)


def pictures() -> tuple[Array, Array]:
    """Grey pictures of four classes."""
    return _pictures(_random())


def brightness() -> tuple[Array, Array]:
    """Grey pictures and a number for each."""
    random = _random()
    grey, _ = _pictures(random)
    grey = (grey * random.uniform(0.2, 1, (SAMPLES, 1, 1))).astype(np.uint8)
    return grey, grey.mean(axis=(1, 2)) * 12.5 + 1000


def repeated_pictures() -> tuple[Array, Array]:
    """Pictures that are their own targets."""
    grey, _ = _pictures(_random())
    return grey, grey


def prices() -> tuple[Array, Array]:
    """A table and a number of the order of 250,000."""
    random = _random()
    rows = random.normal(size=(SAMPLES, 6))
    noise = random.normal(size=SAMPLES)
    return rows, 250_000 + 40_000 * rows[:, 0] - 9_000 * rows[:, 1] + 5_000 * noise


def counts() -> tuple[Array, Array]:
    """A table and how often something happened."""
    random = _random()
    rows = random.normal(size=(SAMPLES, 6))
    return rows, random.poisson(np.exp(1 + 0.5 * rows[:, 0])).astype(float)


def two_numbers() -> tuple[Array, Array]:
    """A table and two numbers of different sizes."""
    rows, price = prices()
    return rows, np.column_stack([price, 0.01 * rows[:, 2] + 0.5])


def repeated_rows() -> tuple[Array, Array]:
    """A table whose rows are their own targets."""
    rows = _random().normal(size=(SAMPLES, 6)) * [1, 1, 5, 5, 20, 20]
    rows[:, 3:] = rows[:, :3] * 2
    return rows, rows


def windows() -> tuple[Array, Array]:
    """Windows of two series `(n, time, features)`, and the first's next value."""
    random = _random()
    times = np.arange(SAMPLES + 12)
    waves = np.column_stack([np.sin(times / 5), np.cos(times / 11)])
    series = 20 + 3 * waves + random.normal(0, 0.1, waves.shape)
    return np.stack([series[start : start + 12] for start in range(SAMPLES)]), series[12:, 0]


def motions() -> tuple[Array, Array]:
    """Sequences `(n, time, features)` of three classes."""
    random = _random()
    kinds = random.integers(0, 3, SAMPLES)
    phases = np.arange(16)[None, :] * (kinds[:, None] + 1) / 3
    waves = np.stack([np.sin(phases), np.cos(phases)], axis=-1)
    return 2 * waves + random.normal(0, 0.2, (SAMPLES, 16, 2)), kinds


def texts() -> tuple[Array, Array]:
    """Short texts of two classes."""
    random = _random()
    liked, neutral = ["good", "great", "fine", "lovely"], ["film", "plot", "scene", "role", "a"]
    disliked = ["bad", "poor", "dull", "awful"]
    kinds = random.integers(0, 2, SAMPLES)
    found = [
        " ".join([*random.choice(neutral, 6), *random.choice(liked if kind else disliked, 3)])
        for kind in kinds
    ]
    return np.array([f"{text} {number}" for number, text in enumerate(found)]), kinds


def tags() -> tuple[Array, Array]:
    """A table and three labels, of which each row has any number."""
    rows = _random().normal(size=(SAMPLES, 6))
    return rows, (rows[:, :3] + 0.5 * rows[:, 3:] > 0).astype(int)


def wide_and_deep() -> tuple[dict[str, Array], Array]:
    """Two tables and a class."""
    rows, kinds = classes()
    return {"wide": rows[:, :2], "deep": rows[:, 2:]}, kinds


def picture_and_row() -> tuple[dict[str, Array], Array]:
    """A picture and a row, and a number."""
    random = _random()
    grey, _ = _pictures(random)
    rows = random.normal(size=(SAMPLES, 3))
    return {"picture": grey, "row": rows}, 100.5 * rows[:, 0] + grey.mean(axis=(1, 2))


def text_and_row() -> tuple[dict[str, Array], Array]:
    """A text and a row, and a class."""
    words, kinds = texts()
    return {"text": words, "row": _random().normal(size=(SAMPLES, 3))}, kinds


def kind_and_price() -> tuple[Array, dict[str, Array]]:
    """A table, and a class and a number for each row."""
    rows, price = prices()
    return rows, {"kind": (rows[:, 2] > 0).astype(int) + (rows[:, 3] > 0), "price": price}
