"""What a study's trials were trained with, and how that differs."""

import pytest

from spaces.declaring.fingerprint import fingerprint
from tests.studies import StudyBuilder
from tracking.mlflow import mapping as runs
from tracking.provenance import code_changes, code_of_trial, trial_marks, version_changes
from tracking.records import SessionStarted


def code(**files: str) -> dict:
    """Return a fingerprint of files; a `#` in a text stands for a comment."""
    return {
        "files": {
            f"{name}.py": {"sha256": text, "syntax": text.rstrip("#")}
            for name, text in files.items()
        },
        "packages": {},
    }


A, B = code(net="a"), code(net="b")


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        (A, A, []),
        (A, B, ["net.py was changed"]),
        (A, code(net="a#"), []),
        (A, {}, []),
        ({}, A, []),
        (A, code(net="a", more="c"), ["more.py was added"]),
        (code(net="a", more="c"), B, ["net.py was changed", "more.py was removed"]),
        (
            {"files": {}, "packages": {"nets": "1.0"}},
            {"files": {}, "packages": {"nets": "1.1"}},
            ["nets is 1.1; it was 1.0"],
        ),
        (
            {"files": {"net.py": {"sha256": "1", "syntax": ""}}},
            {"files": {"net.py": {"sha256": "2", "syntax": ""}}},
            ["net.py was changed"],  # no Python, as far as can be told
        ),
    ],
)
def test_changes_of_code_are_told_file_by_file(before, now, changes):
    assert code_changes(before, now) == changes


def test_of_code_that_was_run_in_part_only_what_differs_counts():
    assert code_changes(code(a="1", b="1"), code(b="1", c="1"), partly=True) == []
    assert code_changes(code(a="1", b="1"), code(b="2"), partly=True) == ["b.py was changed"]


@pytest.mark.parametrize("package", ["keras", "tensorflow", "numpy", "foldwise"])
def test_versions_that_decide_scores_are_compared(package):
    before, now = ({"versions": {package: text, "rich": text}} for text in ("1", "2"))
    assert version_changes(before, now) == [f"{package} 2 (was 1)"]
    assert version_changes(before, {"versions": {}}) == []


def session(study: StudyBuilder, fingerprint: dict, version: str = "3.15.1", **more) -> None:
    environment = {"versions": {"keras": version}}
    study.add(SessionStarted, trials=4, environment=environment, code=fingerprint, **more)


def test_trials_are_marked_that_were_trained_otherwise_than_the_first():
    study = StudyBuilder()
    session(study, A)
    study.complete_trial(0)
    session(study, B, accepted=["net.py was changed"])
    study.complete_trial(1)
    session(study, A, "3.16.0", accepted=["net.py was changed"])
    study.complete_trial(2)
    history = study.history
    other = "trained with other code than the study began with: net.py was changed"
    version = "trained with other versions: keras 3.16.0 (was 3.15.1)"
    assert [trial_marks(history, t) for t in history.trials.values()] == [[], [other], [version]]
    assert [code_of_trial(history, t) for t in history.trials.values()] == [A, B, A]
    tags = runs.ended_tags(history.trials[1], study.records[-1], [other])
    assert tags["search.trained_otherwise"] == other
    assert "Trained with other code" in tags["mlflow.note.content"]


def test_folds_of_a_trial_that_was_not_over_are_forgotten_with_the_code_they_were_trained_with():
    study = StudyBuilder()
    session(study, A)
    study.complete_trial(0)
    study.start_trial(1)
    study.fold(1, 1)
    session(study, A)  # the same code
    assert list(study.history.trials[1].finished_folds()) == [1]
    session(study, B, accepted=["net.py was changed"])
    history = study.history
    assert history.trials[1].finished_folds() == {}
    assert history.tally.at_rest == history.tally.waiting == set()
    assert len(history.trials[0].finished_folds()) == 2
    study.fold(1, 1)
    study.fold(1, 2)
    study.end_trial(1, "complete")
    history = study.history
    assert trial_marks(history, history.trials[1]) == [
        "trained with other code than the study began with: net.py was changed"
    ]


def test_a_trial_that_was_confirmed_with_other_code_says_so():
    study = StudyBuilder()
    session(study, A)
    study.complete_trial(0)
    session(study, B, accepted=["net.py was changed"])
    study.confirm_trial(0)
    history = study.history
    assert any("from fold to fold" in mark for mark in trial_marks(history, history.trials[0]))


def test_trials_of_journals_without_fingerprints_are_not_marked():
    history = StudyBuilder().every_kind_of_trial().history
    assert [trial_marks(history, trial) for trial in history.trials.values()] == [[]] * 5


# SHA-256, its beginning, of contents before imports moved, and before there were other tasks.
EARLIER = [
    ("lenet", "e5df231a46c7857d"),
    ("cnn", "05f27f413d0803fe"),
    ("mlp", "e804caf0bf551165"),
    ("bilstm", "ab090a5fd7c45c4a"),
    ("convnet", "5770652929cf01ec"),
    ("transfer", "80f7e15c4e18b1ee"),
    ("lenet", "657ed0a75853292b"),
    ("cnn", "95d26d717ca39429"),
    ("mlp", "60cae53339b082f5"),
    ("bilstm", "5eb0726deaf340f9"),
    ("convnet", "9e26cc4827b48309"),
    ("transfer", "71faa11178ce336e"),
]


@pytest.mark.parametrize(("name", "digest"), EARLIER)
def test_a_space_of_this_project_counts_as_what_it_was_in_earlier_versions(name, digest):
    file = f"spaces/{name}.py"
    old = {"files": {file: {"sha256": digest, "syntax": "other"}}}
    now = fingerprint(f"spaces.{name}:SPACE")
    assert code_changes(old, now) == []
    edited = {"files": {file: {"sha256": "1", "syntax": "1", "body": "1"}}}
    assert code_changes(old, edited) == code_changes(edited, now) == [f"{file} was changed"]
