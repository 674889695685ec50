import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from search.tasks import MultiLabel, Regression
from search.tasks.regression import NumberPredictions
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder
from tracking.plots.predictions import labels_png, numbers_png
from tracking.plots.trials import confusion_matrix_png, curves_png, thumbnail, training_curves_png

GOOD = [[28, 2, 0], [1, 29, 0], [0, 5, 25]]
NAMES = ["T-shirt/top", "Trouser", "Bag"]


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def ink(png):
    """Return how many pixels are not background."""
    return int((pixels(png).sum(axis=2) < 740).sum())


@pytest.fixture
def trial(study):
    study.complete_trial(0)
    return study.history.trials[0]


def test_a_confusion_matrix_is_a_legible_picture():
    height, width, _ = pixels(confusion_matrix_png(GOOD, NAMES, "trial 0")).shape
    assert 300 < height < 1200
    assert 300 < width < 1200


def test_a_confusion_matrix_changes_with_its_counts_names_and_title():
    pictures = {
        confusion_matrix_png(GOOD, NAMES, "trial 0"),
        confusion_matrix_png([[27, 3, 0], *GOOD[1:]], NAMES, "trial 0"),
        confusion_matrix_png(GOOD, ["Shirt", *NAMES[1:]], "trial 0"),
        confusion_matrix_png(GOOD, NAMES, "trial 1"),
    }
    assert len(pictures) == 4


def test_rows_are_true_classes_from_the_top():
    picture = pixels(confusion_matrix_png([[0, 100], [0, 100]], ["a", "b"], "t"))
    blue = (picture[..., 2] - picture[..., 0]) > 60  # both rows are predicted "b"
    columns = np.flatnonzero(blue.any(axis=0))
    rows = np.flatnonzero(blue.any(axis=1))
    assert np.ptp(rows) > 1.5 * np.ptp(columns)


def test_colours_show_the_share_of_the_true_class_not_the_count():
    even = pixels(confusion_matrix_png([[9, 0], [0, 9]], ["a", "b"], "t"))
    uneven = pixels(confusion_matrix_png([[9, 0], [0, 90]], ["a", "b"], "t"))
    assert np.mean(np.abs(even - uneven)) < 1  # only the digits differ


@pytest.mark.parametrize("classes", [2, 3, 10, 30, pytest.param(100, marks=pytest.mark.slow)])
def test_any_number_of_classes_fits(classes):
    counts = (np.eye(classes) * 50).astype(int).tolist()
    names = [f"a rather long name of class {n}" for n in range(classes)]
    height, width, _ = pixels(confusion_matrix_png(counts, names, "t")).shape
    assert max(height, width) < 1200


@pytest.mark.slow
def test_counts_too_small_to_read_are_left_out():
    def digits(classes, count):
        counts = (np.eye(classes) * count).astype(int).tolist()
        return confusion_matrix_png(counts, ["x"] * classes, "t")

    assert digits(10, 1) != digits(10, 1000)
    assert digits(100, 1) == digits(100, 1000)


def test_names_without_glyphs_become_numbers():
    assert confusion_matrix_png(GOOD, ["猫", "b", "c"], "t") == confusion_matrix_png(
        GOOD, ["class 0", "b", "c"], "t"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x_1$", "$", "שלום", "مرحبا", "😀", "a\nb", "_^{}\\frac"])
def test_names_are_written_as_they_are(name):
    assert confusion_matrix_png(GOOD, [name, "b", "c"], name) != confusion_matrix_png(
        GOOD, ["class 0", "b", "c"], name
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["", "\x00", "\ud800", "\u2028", "w" * 5000, "\n" * 500, "\u202e"])
def test_no_name_or_title_does_harm(name, trial):
    assert len(pixels(confusion_matrix_png(GOOD, [name, "b", "c"], name)))
    assert len(pixels(curves_png(trial, name)))


def test_a_class_without_samples_is_drawn_empty():
    assert ink(confusion_matrix_png([[0, 0], [0, 5]], ["a", "b"], "t")) > 0


def test_a_thumbnail_has_half_the_size():
    picture = confusion_matrix_png(GOOD, NAMES, "t")
    height, width, _ = pixels(picture).shape
    small = pixels(thumbnail(picture)).shape
    assert abs(2 * small[0] - height) <= 1
    assert abs(2 * small[1] - width) <= 1


@pytest.mark.slow
def test_curves_show_every_fold_and_the_mean(study, trial):
    two = ink(curves_png(trial, "t"))
    del trial.folds[2]
    assert two > ink(curves_png(trial, "t"))


def test_curves_change_with_a_single_value(study, trial):
    before = curves_png(trial, "t")
    trial.folds[1].epochs[2].metrics["val_loss"] += 0.3
    assert curves_png(trial, "t") != before


def test_a_single_epoch_is_visible(study):
    study.start_trial(0)
    study.fold(0, 1, epochs=1)
    picture = pixels(curves_png(study.history.trials[0], "t"))
    below_the_key = picture[60:]
    blue = (below_the_key == [0, 114, 178]).all(axis=2).sum()
    assert blue > 8  # a dot in each panel


def test_a_fold_cut_short_and_missing_values_are_drawn(study):
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=1)
    trial = study.history.trials[0]
    for epoch in trial.folds[1].epochs.values():
        epoch.metrics["loss"] = float("nan")
        epoch.metrics["val_loss"] = float("inf")
    assert ink(curves_png(trial, "t")) > 0


@pytest.mark.slow
def test_a_trial_without_epochs_gives_empty_panels(study):
    study.start_trial(0)
    assert pixels(curves_png(study.history.trials[0], "t")).shape == (400, 960, 3)


def test_a_training_without_validation_has_no_validation_in_its_key():
    png = training_curves_png([{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.8}], "t")
    assert not (pixels(png) == [0, 114, 178]).all(axis=2).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e-300, 1e-7, 123456.0, 1e30, 1e308, -1e308, float("nan")])
def test_values_of_any_size_are_drawn(trial, value):
    for fold in trial.folds.values():
        fold.epochs[1].metrics.update(loss=value, val_loss=0.9 * value)
    assert ink(curves_png(trial, "t")) > 0


@pytest.mark.slow
def test_a_long_title_leaves_the_key_and_the_curves_as_they_are(trial):
    short, long = (pixels(curves_png(trial, title)) for title in ("t", "a long title " * 30))
    assert (short[:36] != long[:36]).any()
    assert np.abs(short[36:] - long[36:]).max() < 8  # the palettes differ a little
    assert (long[:, -8:] == 255).all()


def test_a_picture_has_nothing_of_the_one_before(study, trial):
    names = ["a", "b", "c"]
    before = confusion_matrix_png(GOOD, names, "t"), curves_png(trial, "t")
    confusion_matrix_png([[99999, 1, 1], [0, 0, 0], [7, 7, 7]], names, "something else")
    study.start_trial(1)
    study.fold(1, 1, epochs=1)
    curves_png(study.history.trials[1], "something else")
    assert (confusion_matrix_png(GOOD, names, "t"), curves_png(trial, "t")) == before


@pytest.mark.slow
def test_settings_of_matplotlib_neither_matter_nor_change():
    draw = """
import hashlib, sys
import matplotlib
if sys.argv[1:]:
    matplotlib.rcParams.update({
        "text.usetex": True, "text.parse_math": True, "font.size": 30, "font.family": "serif",
        "axes.grid": False, "axes.facecolor": "black", "axes.edgecolor": "red",
        "axes.axisbelow": False,
        "xtick.minor.visible": True, "xtick.color": "red",
        "lines.linewidth": 9, "lines.marker": "x",
        "figure.dpi": 300, "savefig.dpi": 300, "savefig.bbox": "tight", "figure.autolayout": True,
        "image.origin": "lower", "axes.formatter.use_mathtext": True, "legend.frameon": True,
        "patch.force_edgecolor": True, "hatch.color": "red", "savefig.facecolor": "black",
    })
before = dict(matplotlib.rcParams)
from search.analysis.comparison.confusion import difference_png
from search.analysis.comparison.ranks import critical_difference_png, rank
from tracking.plots.trials import confusion_matrix_png, training_curves_png
two = [[5, 1], [2, 9]], [[4, 2], [2, 9]]
pictures = [
    confusion_matrix_png(two[0], ["a", "b"], "t"),
    training_curves_png([{"loss": 1 / n, "accuracy": n / 9} for n in range(1, 9)], "t"),
    difference_png(*two, ["a", "b"], ("one", "two")),
    critical_difference_png(rank([[1, 2], [3, 4], [5, 6]]), ["a", "b", "c"]),
]
assert dict(matplotlib.rcParams) == before
print(*(hashlib.sha256(picture).hexdigest() for picture in pictures))
"""
    plain, set_otherwise = (
        subprocess.run(
            [sys.executable, "-c", draw, *arguments], check=True, capture_output=True, text=True
        ).stdout
        for arguments in ([], ["otherwise"])
    )
    assert plain == set_otherwise


@pytest.mark.slow
def test_pictures_drawn_in_several_threads_are_the_same(trial):
    alone = (curves_png(trial, "t"), confusion_matrix_png(GOOD, NAMES, "t"))
    drawn = []

    def draw():
        for _ in range(5):
            drawn.append((curves_png(trial, "t"), confusion_matrix_png(GOOD, NAMES, "t")))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [alone] * 20


@pytest.mark.slow
def test_pyplot_with_its_global_state_is_not_used():
    check = "import sys, tracking.plots.trials; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.slow
def test_a_picture_of_numbers_shows_where_predictions_lie_and_has_a_row_for_each():
    study = RegressionStudyBuilder()
    report = Regression(("price",)).report(study.predictions(0.8))["numbers"]["price"]
    worse = Regression(("price",)).report(study.predictions(0.3))["numbers"]["price"]
    one, other = (pixels(numbers_png({"price": told}, "t")) for told in (report, worse))
    assert one.shape != other.shape or (one != other).any()
    several = pixels(numbers_png({f"number {n}": report for n in range(9)}, "t"))
    assert len(several) > 5 * len(one)
    assert several.shape[1] == one.shape[1]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("name", ["$x_1$", "a\nb", "\u0627\u0644\u0633\u0639\u0631", "long " * 60])
def test_numbers_of_any_size_and_name_are_drawn(scale, name):
    values = 7 + scale * np.random.default_rng(1).normal(size=(30, 1))
    report = Regression((name,)).report(NumberPredictions(values, values[::-1]))
    assert ink(numbers_png(report["numbers"], name)) > 0


@pytest.mark.slow
def test_each_label_has_its_matrix():
    confusion = MultiLabel(MultiLabelStudyBuilder.names).report(
        MultiLabelStudyBuilder().predictions(0.8)
    )["confusion"]
    picture = pixels(labels_png(confusion, "t"))
    western = confusion["western"]
    changed = pixels(labels_png({**confusion, "western": western[::-1]}, "t"))
    columns = np.flatnonzero((picture != changed).any(axis=(0, 2)))
    assert columns.min() > picture.shape[1] / 2  # the last of four
    many = pixels(labels_png({f"label {n}": western for n in range(30)}, "t"))
    assert len(many) > 4 * len(picture)


@pytest.mark.slow
def test_curves_show_the_metric_that_is_asked_for():
    trial = RegressionStudyBuilder().every_kind_of_trial().history.trials[1]
    assert curves_png(trial, "t", "rmse") != curves_png(trial, "t", "mae")
    losses = [{"loss": 1.0}, {"loss": 0.5}]
    assert ink(training_curves_png(losses, "t")) > 0
