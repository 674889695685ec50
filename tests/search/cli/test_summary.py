import pytest

from search.cli import output, run
from tests.studies import StudyBuilder


@pytest.fixture
def best(monkeypatch, capsys):
    """Return what is printed of a study's best trials."""
    monkeypatch.setattr(output.console, "_width", 100)

    def best(study: StudyBuilder) -> list[str]:
        run._print_best(study.history)
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return best


def test_it_counts_who_waits(best):
    lines = best(StudyBuilder(folds=5).race())
    assert "Best trials (of 6: 2 complete, 2 pruned, 1 waiting, 1 unfinished)" in lines


def test_only_the_five_best_are_shown_and_a_loss_begins_with_the_smallest(best):
    study = StudyBuilder(objective="cv_loss")
    study.session()
    for trial in range(7):
        study.complete_trial(trial, level=0.5 + trial / 20)
    lines = best(study)
    first = lines.index(next(line for line in lines if line.startswith("trial")))
    table = lines[first : lines.index("", first)]
    assert table[0].split() == ["trial", "loss", "±", "folds", "time", "params"]
    assert [line.split()[0] for line in table[1:]] == ["6", "5", "4", "3", "2"]


def test_a_curve_follows_the_table_where_there_is_more_than_one_score(best):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0, level=0.8)
    assert not any("by trial" in line for line in best(study))
    study.complete_trial(1, level=0.9)
    lines = best(study)
    assert lines[lines.index("Best accuracy so far, by trial") + 1] == "0.9000 │    ●───"


def test_a_confirmed_best_shows_what_luck_there_was(best):
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.80)
    study.complete_trial(1, level=0.85)
    assert not any("confirmed" in line for line in best(study))
    study.confirm_trial(0, level=0.79)
    study.confirm_trial(1, level=0.78)
    assert best(study)[-2:] == [
        "Best: trial 0 confirmed on 10 confirmation folds: 0.7900 ± 0.0040 (chosen: 0.8000)",
        "trial 1 confirmed on 10 confirmation folds: 0.7800 ± 0.0040 (chosen: 0.8500)",
    ]


def test_settings_are_whole_on_a_narrow_terminal(best, monkeypatch):
    monkeypatch.setattr(output.console, "_width", 60)
    study = StudyBuilder()
    study.session()
    study.complete_trial(1)
    lines = best(study)
    assert lines[-2].split() == ["1", "0.8000", "0.0100", "6.0s"]
    assert lines[-1] == "filters=33  extra=on  more=9"


def test_two_objectives_show_the_front(best):
    study = StudyBuilder(objective="cv_accuracy,latency_ms")
    study.session()
    study.complete_trial(0, level=0.80, scores={"latency_ms": 9.0})
    study.complete_trial(1, level=0.85, scores={"latency_ms": 8.0})
    study.complete_trial(2, level=0.70, scores={"latency_ms": 1.0})
    lines = best(study)
    heading = (
        "Pareto front: trials that no other trial equals or beats in both accuracy and latency"
    )
    front = lines[lines.index(heading) + 2 :]
    assert [line.split()[:4] for line in front] == [
        ["1", "0.8500", "0.0100", "8.00"],
        ["2", "0.7000", "0.0100", "1.00"],
    ]
