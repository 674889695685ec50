from io import StringIO

import pytest
from rich.console import Console

from search.cli.curve import Curve, sparkline
from tests.studies import StudyBuilder


def study(*levels: float | None, **options) -> StudyBuilder:
    """Return a study with a complete trial for each level, and a pruned one for each None."""
    made = StudyBuilder(**options)
    made.session()
    for trial, level in enumerate(levels):
        if level is not None:
            made.complete_trial(trial, level=level)
            continue
        made.start_trial(trial)
        made.fold(trial, 1, epochs=1)
        made.end_trial(trial, "pruned")
    return made


def drawn(made: StudyBuilder, width: int = 60) -> list[str]:
    console = Console(width=width, file=StringIO())
    console.print(Curve.of(made.history))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_best_score_rises_step_by_step():
    assert drawn(study(0.5, None, 0.7, 0.6, None, 0.9)) == [
        "Best accuracy so far, by trial",
        "0.9000 │                    ●───",
        "       │                    │",
        "       │        ●───────────╯",
        "       │        │   ●",
        "0.5000 │●───────╯",
        "       └────────────────────────",
        " trial  0   1   2   3   4   5",
        "        ● complete  ─ best so far  (2 pruned: no full score)",
    ]


def test_a_loss_falls():
    lines = drawn(study(0.5, 0.7, objective="cv_loss"))
    assert lines[0] == "Best loss so far, by trial"
    assert lines[1] == "0.8000 │●───╮"
    assert lines[5] == "0.6000 │    ●───"


def test_equal_scores_have_one_level():
    lines = drawn(study(0.8, 0.8))
    assert lines[3] == "0.8000 │●───●───"
    assert [line for line in lines[1:6] if "0.8000" in line] == [lines[3]]


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("trials", [2, 30, 500])
def test_it_fits_whatever_the_number_of_trials(width, trials):
    levels = [0.5 + number % 7 / 20 if number % 3 else None for number in range(1, trials + 2)]
    lines = drawn(study(*levels), width)
    assert max(map(len, lines)) <= width
    assert sum("●" in line for line in lines[1:6]) > 1


def test_one_score_makes_no_curve():
    assert not Curve.of(study(0.8, None).history).is_worth_showing()
    assert Curve.of(study(0.8, 0.7).history).is_worth_showing()


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0.5], ""),
        ([0.1, 0.5, 0.9], "▁▅█"),
        ([0.5, 0.5], "▁▁"),
        ([0.1, float("nan")], ""),
    ],
)
def test_a_sparkline_shows_how_values_went(values, bars):
    assert sparkline(values) == bars


def test_a_long_sparkline_shows_the_last_values():
    assert sparkline([9.0, *range(12)]) == sparkline(range(12))


def test_a_terminal_that_tells_no_width_or_hardly_any_ends_no_command():
    assert all("●" in "".join(drawn(study(0.5, 0.7, 0.6), width)) for width in range(1, 20))
