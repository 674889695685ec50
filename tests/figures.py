"""What is seen of Matplotlib's figures: which texts lie on one another."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts of a figure that lie on one another."""
    figure.draw_without_rendering()  # where the texts are is known without their pixels
    boxes = [(text.get_text(), _outline(text)) for text in _texts(figure)]
    return [
        (boxes[one][0], boxes[other][0])
        for one, other in _near([path for _, path in boxes])
        if boxes[one][1].intersects_path(boxes[other][1], filled=True)
    ]


def _near(paths: list[Path]) -> list[tuple[int, int]]:
    """Return the pairs of paths whose upright boxes touch: no others can cross."""
    corners = np.array([path.vertices for path in paths]).reshape(-1, 5, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    touch = (low[:, None] <= high[None]).all(axis=2)
    return [(int(one), int(other)) for one, other in np.argwhere(np.triu(touch & touch.T, 1))]


def _texts(figure: Figure) -> Iterator[Text]:
    for text in figure.findobj(Text):
        shown = [parent.axison for parent in [text.axes] if parent is not None]
        if text.get_visible() and text.get_text() and (all(shown) or text in text.axes.texts):
            yield text


def _outline(text: Text) -> Path:
    """Return a text's box on the picture, a pixel smaller at each side, turned as the text is."""
    angle = text.get_rotation()
    is_turned = angle % 90 != 0
    if is_turned:
        text.set_rotation(0)
    box = text.get_window_extent()
    corners = np.array(
        [
            (box.x0 + 1, box.y0 + 1),
            (box.x1 - 1, box.y0 + 1),
            (box.x1 - 1, box.y1 - 1),
            (box.x0 + 1, box.y1 - 1),
        ]
    )
    if is_turned:
        text.set_rotation(angle)
        anchor = text.get_transform().transform(text.get_position())
        corners = Affine2D().rotate_deg_around(*anchor, angle).transform(corners)
    return Path(corners[[0, 1, 2, 3, 0]], closed=True)
