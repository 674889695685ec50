"""A comparison written to a folder: pictures and numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

from search.analysis.comparison.comparison import Comparison
from search.analysis.comparison.document import document
from search.errors import SettingsError

DIFFERENCE, RANKS, NUMBERS = "difference.png", "critical_difference.png", "comparison.json"


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a comparison's files and return their paths; those of an earlier one are replaced.

    Raises:
        SettingsError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    paths = []
    for name, content in _files(comparison):
        path = folder / name
        try:
            path.write_bytes(content)
        except OSError as error:
            raise _refusal(path, error) from error
        paths.append(path)
    stale = folder / RANKS  # of an earlier comparison, which had more contenders
    if stale not in paths and stale.is_file():
        stale.unlink()
    return paths


def _files(comparison: Comparison) -> Iterator[tuple[str, bytes]]:
    # Matplotlib takes a second.
    from search.analysis.comparison.difference_figure import difference_png
    from search.analysis.comparison.ranks_figure import critical_difference_png

    one, other = comparison.entries[:2]
    names = one.label, other.label
    if comparison.classes:
        yield DIFFERENCE, difference_png(one.confusion, other.confusion, comparison.classes, names)
    if comparison.ranking is not None:
        labels = [entry.label for entry in comparison.entries]
        yield RANKS, critical_difference_png(comparison.ranking, labels)
    text = json.dumps(document(comparison), ensure_ascii=False, indent=1, allow_nan=False)
    yield NUMBERS, text.encode()


def _refusal(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out` must be a folder that can be written; {path} cannot be ({error.strerror})."
        " Choose another."
    )
