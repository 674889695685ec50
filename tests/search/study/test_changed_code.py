"""A study goes on with the code it was run with, or says that it does not."""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from search import SettingsError, load_study, run_study
from search.environment import describe_environment
from search.study.opening import OpenStudy, open_study
from search.study.session import run_session
from search.tracker import Tracker
from tracking.home import Home
from tracking.journal import Journal
from tracking.provenance import trial_marks
from tracking.records import SessionStarted

BESIDE = "def width():\n    return 8\n"
SPACE = """
from spaces import Int, Space, TableInput

def build(parameters, data):
    import keras
    from beside import width
    return keras.Sequential([
        keras.layers.Input(data.input_shape),
        keras.layers.Dense(width() * parameters["factor"], "relu"),
        keras.layers.Dense(data.classes, "softmax"),
    ])

SPACE = Space(name="own", build=build, parameters=(Int("factor", 1, 4),), inputs=TableInput(),
              dataset="wine")
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """A space's file, with a module beside it."""
    (tmp_path / "beside.py").write_text(BESIDE)
    path = tmp_path / "own.py"
    path.write_text(SPACE)
    rows = [f"{n},{n % 7},{n % 2}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,label", *rows]) + "\n")
    return path


def asked(space: Path, **more: Any) -> dict[str, Any]:
    return {
        "space": f"{space}:SPACE",
        "dataset": f"csv:{space.parent / 'rows.csv'}",
        "study": "mine",
        "folds": 2,
        "epochs": 1,
        "trials": 1,
        "executor": "inline",
        "precision": "float32",
        **more,
    }


def opened(space: Path, *, accept: bool = False, **more: Any) -> OpenStudy:
    return open_study(
        asked(space, **more),
        home=Home(space.parent / "home"),
        data_dir=None,
        notify=lambda _: None,
        accept_changed_code=accept,
    )


def begin(study: OpenStudy, **fields: Any) -> None:
    """Write what a session writes first."""
    environment = {**describe_environment(), **fields.pop("environment", {})}
    study.folder.root.mkdir(parents=True, exist_ok=True)
    with Journal(study.folder.journal) as journal:
        if study.is_new:
            journal.append(study.start)
        code = fields.pop("code", study.code)
        journal.append(
            SessionStarted(at=time.time(), trials=1, environment=environment, code=code, **fields)
        )


def run(study: OpenStudy, told: list[str] | None = None) -> Any:
    notify = told.append if told is not None else lambda _: None
    tracker = Tracker(Home(study.folder.root.parent.parent), None)
    return run_session(study, tracker, observe=lambda _: None, notify=notify)


@pytest.mark.slow
def test_the_files_of_a_space_are_recorded(space):
    study = opened(space)
    assert list(study.code["files"]) == ["beside.py", "own.py"]
    begin(study)
    assert opened(space).is_new is False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: (folder / "own.py").write_text(SPACE.replace("relu", "tanh")),
            "own.py was",
        ),
        pytest.param(
            lambda folder: (folder / "beside.py").write_text("def width():\n    return 9"),
            "beside.py",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda folder: (
                (folder / "new.py").write_text("X = 1"),
                (folder / "beside.py").write_text(BESIDE + "\nimport new"),
            ),
            "beside.py was changed; new.py was added",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda folder: (folder / "own.py").write_text(
                SPACE.replace("from beside import width", "width = lambda: 8")
            ),
            "own.py was changed; beside.py was removed",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_study_is_not_continued_with_other_code_unless_that_is_accepted(space, change, said):
    begin(opened(space))
    change(space.parent)
    with pytest.raises(SettingsError, match=said) as refused:
        opened(space)
    assert "--accept-changed-code" in str(refused.value)
    study = opened(space, accept=True)
    begin(study, accepted=["x was changed"])
    assert opened(space).code == study.code  # what was accepted is what is known now


@pytest.mark.slow
@pytest.mark.parametrize("text", [f"# a comment\n{SPACE}", SPACE.replace("\n\n", "\n\n\n")])
def test_comments_and_layout_are_not_code(space, text):
    begin(opened(space))
    space.write_text(text)
    assert not opened(space).is_new


@pytest.mark.slow
def test_a_space_may_move_to_another_folder_and_modules_are_told_apart_by_name(space, tmp_path):
    code = opened(space).code
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("own.py", "beside.py", "rows.csv"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    assert opened(other / "own.py").code == code


@pytest.mark.slow
def test_code_that_changes_while_the_study_waits_for_its_lock_is_refused_too(space):
    begin(opened(space))
    study = opened(space)
    space.write_text(SPACE.replace("relu", "tanh"))
    begin(opened(space, accept=True), accepted=["own.py was changed"])  # another process
    with pytest.raises(SettingsError, match=r"own\.py was changed"):
        run(study)


@pytest.mark.slow
def test_a_study_begun_by_another_process_in_between_is_left_as_it_is(space):
    mine = opened(space)
    other = opened(space, seed=5, folds=3)
    begin(other)
    other.folds.save(other.folder.folds)
    before = [path.read_bytes() for path in (mine.folder.journal, mine.folder.folds)]
    with pytest.raises(SettingsError, match="another process started a study called 'mine'"):
        run(mine)
    assert [p.read_bytes() for p in (mine.folder.journal, mine.folder.folds)] == before


@pytest.mark.slow
def test_a_study_begun_anew_in_between_is_left_as_it_is(space):
    begin(opened(space))
    mine = opened(space)
    mine.folder.journal.unlink()
    begin(opened(space, seed=5))
    before = mine.folder.journal.read_bytes()
    with pytest.raises(SettingsError, match="another process started"):
        run(mine)
    assert mine.folder.journal.read_bytes() == before


@pytest.mark.slow
def test_a_study_removed_in_between_is_not_begun_half(space):
    begin(opened(space))
    mine = opened(space)
    shutil.rmtree(mine.folder.root)
    with pytest.raises(SettingsError, match="was removed"):
        run(mine)


@pytest.mark.slow
def test_sessions_trials_and_models_say_which_code_they_are_of(space):
    home, folder = space.parent / "home", space.parent / "model"
    first = run_study(home=home, notify=lambda _: None, **asked(space))
    space.write_text(SPACE.replace("relu", "tanh"))
    with pytest.raises(SettingsError, match=r"own\.py was changed"):
        run_study(home=home, **asked(space, trials=2))
    told: list[str] = []
    done = run_study(
        home=home, notify=told.append, accept_changed_code=True, **asked(space, trials=2)
    )
    assert any("which is accepted: own.py was changed" in notice for notice in told)
    history = load_study("mine", home=home).history
    assert [session.accepted for session in history.sessions] == [[], ["own.py was changed"]]
    assert trial_marks(history, history.trials[0]) == []
    [mark] = trial_marks(history, history.trials[1])
    assert mark == "trained with other code than the study began with: own.py was changed"

    with pytest.raises(SettingsError, match=r"trial 0 .* was trained with: own\.py was changed"):
        done.export(folder, trial=0)
    assert not folder.exists()
    exported = done.export(folder, trial=1, notify=told.append).export
    assert (exported.code, exported.accepted) == (history.sessions[1].code, [])
    again = done.export(
        folder, trial=0, overwrite=True, accept_changed_code=True, notify=told.append
    )
    assert again.export.accepted == ["own.py was changed"]
    space.write_text(SPACE)
    assert first.export(space.parent / "old", trial=0, notify=told.append).export.accepted == []


@pytest.mark.slow
def test_studies_of_earlier_versions_and_other_packages_go_on_with_a_notice(space):
    study = opened(space)
    begin(study, code={}, environment={"versions": {"keras": "3.0.0"}})
    told: list[str] = []
    result = run(dataclasses.replace(opened(space)), told)
    assert any("did not record the space's code" in notice for notice in told)
    assert any("keras" in notice and "(was 3.0.0)" in notice for notice in told)
    [mark] = trial_marks(result.history, result.history.trials[0])
    assert mark.startswith("trained with other versions: keras")
    assert mark.endswith("(was 3.0.0)")
