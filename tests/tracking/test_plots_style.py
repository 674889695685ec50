import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tests.figures import overlapping
from tracking.plots.style import (
    BLUE,
    GREEN,
    MARGIN,
    ORANGE,
    Matrix,
    bars,
    blank,
    class_names,
    fitted,
    folded,
    image,
    page,
    plain,
    png,
    text_width,
    write,
)


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def drawn(text: str, align: str = "left") -> np.ndarray:
    figure, axes = page(300, 30)
    write(axes, 0 if align == "left" else 300, 15, text, align=align)
    return pixels(png(figure))


def test_text_is_cut_in_its_middle_to_what_fits() -> None:
    assert fitted("short", 13, 200) == "short"
    cut = fitted("the beginning of a long name, number 17", 13, 120)
    assert 105 < text_width(cut, 13) <= 120
    assert cut.startswith("the b")
    assert cut.endswith("17")
    assert fitted("W" * 50, 13, 1) == "…"


@pytest.mark.slow
def test_text_is_folded_at_spaces_into_three_lines_at_most() -> None:
    assert folded("short", 13, 116) == ["short"]
    assert folded("Ankle boot made of leather", 13, 116) == ["Ankle boot made", "of leather"]
    for text in ("x" * 500, "one two " * 80, "W"):
        lines = folded(text, 13, 116)
        assert len(lines) <= 3
        assert all(text_width(line, 13) <= 116 for line in lines)


def test_names_that_cannot_be_written_become_numbers() -> None:
    assert class_names(["Coat", "主题", "", "a\nb", "ü", "$x_1$", "😀"]) == [
        *("Coat", "class 1", "class 2", "a\\nb", "ü", "$x_1$", "😀")
    ]


def test_of_other_texts_what_the_font_lacks_becomes_a_question_mark() -> None:
    assert plain("csv:/data/主\t$1.csv") == "csv:/data/?\\t$1.csv"


@pytest.mark.parametrize("name", ["שלום", "مرحبا"])
def test_a_name_written_from_right_to_left_stays_left_of_what_follows(name: str) -> None:
    with_number = drawn(f"{plain(name)} 17", "right")
    number = drawn("17", "right")
    ends = [picture[:, -MARGIN - 14 : -MARGIN] for picture in (with_number, number)]
    rows = [np.flatnonzero((end < 200).any(axis=(1, 2))) for end in ends]
    shown = [end[at.min() : at.min() + 9] for end, at in zip(ends, rows, strict=True)]
    assert np.abs(shown[0][:, 4:] - shown[1][:, 4:]).mean() < 40


def test_the_width_of_a_text_is_that_of_its_ink() -> None:
    for text in ("Ankle boot", "0.9123", "WWWW", "$x_1$"):
        columns = np.flatnonzero((drawn(text) < 250).any(axis=(0, 2)))
        assert np.ptp(columns) == pytest.approx(text_width(text, 13), abs=4)


def test_positions_are_counted_from_the_upper_left() -> None:
    figure, axes = page(50, 30)
    bars(axes, 10, 5, wide=20, high=3, colour="#ff0000")
    image(axes, np.full((2, 2, 3), 7, np.uint8), 40, 20)
    picture = pixels(png(figure))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert picture.shape == (30, 50, 3)
    assert (picture[5:8, 10:30] == (255, 0, 0)).all()
    assert (picture[20:22, 40:42] == 7).all()
    assert (picture == 255).all(axis=2).sum() == 30 * 50 - 60 - 4


def test_what_is_drawn_beside_the_page_is_in_the_picture() -> None:
    figure, axes = page(50, 30)
    bars(axes, -70, 40, wide=20, high=5, colour="#ff0000")
    write(axes, -200, -60, "text")
    picture = pixels(png(figure))
    assert (picture == (255, 0, 0)).all(axis=2).sum() == 100
    assert (picture[:30] < 100).any()


@pytest.mark.parametrize("classes", [1, 2, 10, 35, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["{}", "{} is a long name", "W" * 12])
@pytest.mark.parametrize("cell", [4, 7, 15, 16, 60])
def test_names_of_a_matrix_do_not_lie_on_one_another(classes: int, name: str, cell: int) -> None:
    names = [name.format(number) for number in range(classes)]
    figure = blank(400, 400)
    Matrix(figure, names, (100, 100), cell).name()
    assert not overlapping(figure)


def test_a_number_of_a_matrix_stays_in_its_cell() -> None:
    figure = blank(300, 300)
    matrix = Matrix(figure, ["a", "b"], (50, 50), 100)
    matrix.colour(np.array([[to_rgb(BLUE), to_rgb(ORANGE)], [to_rgb(GREEN), (1.0, 1.0, 1.0)]]))
    before = pixels(png(figure))
    there = np.array([[False, True], [False, False]])
    matrix.number(there, ["123456789012"], there, 15)
    changed = (pixels(png(figure)) != before).any(axis=2)
    orange = (np.abs(before - np.round(np.multiply(to_rgb(ORANGE), 255))) < 2).all(axis=2)
    assert changed.sum() > 100
    assert orange[changed].all()


def test_numbers_nobody_could_read_are_left_out() -> None:
    figure = blank(300, 300)
    matrix = Matrix(figure, ["a", "b"], (50, 50), 10)
    empty = pixels(png(figure))
    matrix.number(np.ones((2, 2), bool), ["12345"] * 4, np.zeros((2, 2), bool), 15)
    assert (pixels(png(figure)) == empty).all()
