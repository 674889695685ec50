"""How much processor time a trial's pictures take, as the publisher draws them in its thread.

Run: `python benchmarks/pictures.py [--times 30] [--out FOLDER]`. Each picture has counts or curves
of its own; `first` is the picture for which the figure is prepared, `ms` the median of those after.
`--out` keeps one of each kind, to be looked at.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tracking.history import FoldHistory, TrialHistory
from tracking.plots.trials import confusion_matrix_png, curves_png, thumbnail
from tracking.records import EpochEnded, FoldStarted, TrialStarted

CLASSES, FOLDS, EPOCHS = (2, 10, 30, 100), (3, 5, 10), 30
Drawing = Callable[[], bytes]
Kind = Callable[[int], Drawing]  # makes the data of the picture of that number


def main() -> None:
    """Draw every kind of picture and print one row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--out", type=Path, help="folder for one picture of each kind")
    options = parser.parse_args()
    confusion_matrix_png([[1, 0], [0, 1]], ["a", "b"], "")  # the import of Matplotlib's parts
    print(f"{'picture':32}{'first ms':>10}{'ms':>8}{'kB':>8}")
    for name, kind in kinds().items():
        first, *others = (timed(kind(number)) for number in range(options.times + 1))
        picture = kind(0)()
        kilobytes = len(picture) / 1000
        print(f"{name:32}{first:10.1f}{statistics.median(others):8.1f}{kilobytes:8.1f}")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name.replace(' ', '-')}.png").write_bytes(picture)


def kinds() -> dict[str, Kind]:
    """Return what makes the data of each kind of picture, by name."""
    picture = matrix(12, 0)()
    return {
        **{f"confusion matrix of {classes}": partial(matrix, classes) for classes in CLASSES},
        **{f"curves of {folds} folds": partial(curves, folds) for folds in FOLDS},
        "thumbnail": lambda _: partial(thumbnail, picture),
    }


def matrix(classes: int, number: int) -> Drawing:
    """Return what draws a confusion matrix."""
    counts, title = made_counts(classes, number), f"trial {number}, out of fold"
    return partial(confusion_matrix_png, counts, made_names(classes), title)


def curves(folds: int, number: int) -> Drawing:
    """Return what draws a trial's curves."""
    return partial(curves_png, made_trial(folds, number), f"trial {number}")


def timed(draw: Drawing) -> float:
    """Return the milliseconds of processor time that a picture takes."""
    began = time.process_time()
    draw()
    return 1000 * (time.process_time() - began)


def made_names(classes: int) -> list[str]:
    """Return names long enough to be slanted."""
    return [f"a rather long name of class {number}" for number in range(classes)]


def made_counts(classes: int, number: int) -> list[list[int]]:
    """Return counts, most of them on the diagonal."""
    chance = np.random.default_rng(number)
    right = np.diag(chance.integers(30, 900, classes))
    counts: list[list[int]] = (right + chance.integers(0, 4, right.shape)).tolist()
    return counts


def made_trial(folds: int, number: int) -> TrialHistory:
    """Return a trial of 30 epochs a fold."""
    chance = np.random.default_rng(number)
    trial = TrialHistory(TrialStarted(at=0, trial=number, parameters={}, origin="sampled"))
    for fold in range(1, folds + 1):
        history = FoldHistory(FoldStarted(at=0, trial=number, fold=fold))
        for epoch in range(1, EPOCHS + 1):
            loss = float(2 / epoch**0.5 + chance.normal(0, 0.05))
            metrics = {"loss": loss, "accuracy": 1 - loss / 3}
            metrics |= {"val_loss": loss + 0.1, "val_accuracy": 0.97 - loss / 3}
            record = EpochEnded(at=0, trial=number, fold=fold, epoch=epoch, metrics=metrics)
            history.epochs[epoch] = record
        trial.folds[fold] = history
    return trial


if __name__ == "__main__":
    main()
