import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from search.analysis.comparison.confusion import difference_figure, difference_png
from search.analysis.comparison.ranks import (
    critical_difference_figure,
    critical_difference_png,
    rank,
)
from tests.figures import overlapping
from tracking.plots.style import BLUE, ORANGE

MANY = {n: pytest.param(n, marks=pytest.mark.slow) for n in (10, 12, 40, 150)}
RIGHT, WRONG = [[10, 0], [0, 10]], [[4, 6], [0, 10]]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(colour: str, png: bytes) -> float:
    """Return the share of pixels that nearly have a colour."""
    wanted = np.round(np.multiply(to_rgb(colour), 255))
    return float((np.abs(pixels(png) - wanted).max(axis=-1) < 12).mean())


def confusion(classes: int, right: int, seed: int = 0) -> list[list[int]]:
    counts = np.random.default_rng(seed).integers(0, 5, (classes, classes))
    return (counts + right * np.eye(classes, dtype=int)).tolist()


@pytest.mark.slow
def test_cells_have_the_colour_of_the_model_that_does_better_there():
    first = difference_png(RIGHT, WRONG, ["no", "yes"], ("a", "b"))
    second = difference_png(WRONG, RIGHT, ["no", "yes"], ("a", "b"))
    assert share_of(BLUE, first) > 0.05 > share_of(ORANGE, first)
    assert share_of(ORANGE, second) > 0.05 > share_of(BLUE, second)


@pytest.mark.slow
def test_equal_models_leave_the_matrix_white():
    found = difference_png(RIGHT, RIGHT, ["no", "yes"], ("a", "b"))
    assert share_of(BLUE, found) + share_of(ORANGE, found) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 2, MANY[10], MANY[40], MANY[150]])
def test_a_matrix_of_any_size_is_drawn_with_nothing_at_its_edges(classes):
    names = [f"a rather long name of class {n}" for n in range(classes)]
    png = difference_png(
        confusion(classes, 20), confusion(classes, 15, 1), names, ("n" * 200, "lenet")
    )
    found = pixels(png)
    edges = [found[:8], found[-8:], found[:, :8], found[:, -8:]]
    assert all((edge == 255).all() for edge in edges)
    assert max(found.shape) < 1500


@pytest.mark.parametrize("classes", [1, 2, MANY[12], MANY[40], MANY[150]])
@pytest.mark.parametrize(
    ("name", "models"), [("{}", ("a", "b")), ("W" * 60, ("n" * 200, "W" * 200))]
)
def test_no_text_of_a_difference_lies_on_another(
    classes: int, name: str, models: tuple[str, str]
) -> None:
    names = [name.format(number) for number in range(classes)]
    first, second = confusion(classes, 20), confusion(classes, 15, 1)
    assert not overlapping(difference_figure(first, second, names, models))


def test_names_the_font_lacks_are_drawn_without_a_warning():
    png = difference_png(RIGHT, WRONG, ["日本", "$x_1$\n"], ("学習", "b"))
    assert len(pixels(png))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "folds"), [(3, 2), (3, 5), (7, 15), pytest.param(12, 60, marks=pytest.mark.slow)]
)
def test_a_diagram_of_ranks_has_a_bar_for_each_group_and_nothing_at_its_edges(models, folds):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(models, folds)) * 0.01 + np.linspace(0.9, 0.8, models)[:, None]
    ranking = rank(scores)
    names = ["n" * 90 if n % 2 else "b" for n in range(models)]
    assert not overlapping(critical_difference_figure(ranking, names))
    png = critical_difference_png(ranking, names)
    found = pixels(png)
    edges = [found[:8], found[-8:], found[:, :8], found[:, -8:]]
    assert all((edge == 255).all() for edge in edges)
    blue = np.abs(found - np.round(np.multiply(to_rgb(BLUE), 255))).max(axis=-1) < 3
    rows = blue.sum(axis=1) > 8
    assert (np.diff(rows.astype(int)) == 1).sum() == len(ranking.groups)
