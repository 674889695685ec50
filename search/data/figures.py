"""The pictures of a dataset, written to a folder.

All show the training set; of the test set only the number of samples of each class is drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search.data.description import Description
from search.data.figures_classes import classes_png
from search.data.figures_correlation import columns_png, pixels_png
from search.data.figures_images import class_means_png, samples_png
from search.data.figures_texts import WordCounts, lengths_png, words_png
from search.errors import SettingsError

CLASSES, CORRELATION = "classes.png", "correlation.png"
_LEFT_OUT = {
    "image": (),
    "text": ("No samples.png and no correlation.png of texts.",),
    "table": ("No samples.png of a table.",),
}


@dataclass(frozen=True)
class Pictures:
    """What was written.

    Attributes:
        paths: of the PNG files.
        notes: what was left out.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def picture_folder(folder: Path) -> Path:
    """Return the folder, made if it is not there.

    Raises:
        SettingsError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    return folder


def write_pictures(description: Description, folder: Path) -> Pictures:
    """Write the pictures of a dataset; those of the same names are replaced.

    Raises:
        SettingsError: the folder cannot be written.
    """
    picture_folder(folder)
    paths = []
    for name, png in _pictures(description):
        path = folder / name
        try:
            path.write_bytes(png)
        except OSError as error:
            raise _refusal(folder, error) from error
        paths.append(path)
    return Pictures(tuple(paths), _LEFT_OUT[description.dataset.kind])


def _pictures(description: Description) -> Iterator[tuple[str, bytes]]:
    yield CLASSES, classes_png(description)
    match description.dataset.kind:
        case "image":
            yield "samples.png", samples_png(description)
            yield "class_means.png", class_means_png(description)
            yield CORRELATION, pixels_png(description)
        case "text":
            counts = WordCounts.of(description.dataset)
            yield "lengths.png", lengths_png(description, counts)
            yield "words.png", words_png(description, counts)
        case _:
            yield CORRELATION, columns_png(description)


def _refusal(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out` must be a folder that can be written; {folder} cannot be ({error.strerror})."
        " Choose another."
    )
