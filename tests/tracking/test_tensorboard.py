"""TensorBoard's logs of a study, read by TensorBoard itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tests.studies import STUDY_ID, StudyBuilder
from tracking.history import History
from tracking.tensorboard import NotOurs, TensorBoardLogs

NAME = "lenet-digits"


def logged(folder: Path, builder: StudyBuilder, begin: int = 1) -> None:
    """Write a study's logs as a session does, from its record `begin` on."""
    history = History.of(builder.records[:begin])
    logs = TensorBoardLogs(folder, history)
    for record in builder.records[begin:]:
        logs.write(history.add(record))


def read(folder: Path, trial: int, fold: int) -> EventAccumulator:
    place = folder / NAME / f"trial-{trial:05d}" / f"fold-{fold:02d}"
    return EventAccumulator(str(place)).Reload()


def points(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(each.step, pytest.approx(each.value, abs=1e-6)) for each in events.Scalars(tag)]


def hparams(events: EventAccumulator, tag: str) -> Any:
    content = events.SummaryMetadata(tag).plugin_data.content
    return metadata.parse_session_start_info_plugin_data(content)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.foldwise")}


def status(events: EventAccumulator) -> int:
    told = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    return int(metadata.parse_session_end_info_plugin_data(told).status)


def test_each_fold_is_a_run_with_scalars_by_epoch_and_its_scores(tmp_path):
    builder = StudyBuilder().every_kind_of_trial()
    logged(tmp_path, builder)
    events = read(tmp_path, 1, 2)
    metrics = [epoch.metrics for epoch in builder.history.trials[1].folds[2].epochs.values()]
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        assert points(events, name) == [(n, row[name]) for n, row in enumerate(metrics, start=1)]
    assert points(events, "score/accuracy") == [(3, 0.852)]
    assert len(list((tmp_path / NAME).glob("trial-*/fold-*"))) == 7


def test_params_and_outcomes_are_those_of_the_hparams_page(tmp_path):
    builder = StudyBuilder().every_kind_of_trial()
    logged(tmp_path, builder)
    started = hparams(read(tmp_path, 1, 1), metadata.SESSION_START_INFO_TAG)
    assert started.group_name == "trial 1"  # all folds of it
    assert started.hparams["filters"].number_value == 33
    assert started.hparams["extra"].bool_value is True
    assert status(read(tmp_path, 1, 1)) == 1  # a success
    assert status(read(tmp_path, 2, 1)) == 0  # pruned: unknown
    assert status(read(tmp_path, 3, 1)) == 2  # a failure
    assert metadata.SESSION_END_INFO_TAG not in read(tmp_path, 4, 1).PluginTagToContent("hparams")


@pytest.mark.parametrize("begin", [5, 12, 20])
def test_a_continued_study_has_nothing_twice(tmp_path, begin):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    builder = StudyBuilder().every_kind_of_trial()
    logged(whole, builder)
    earlier = StudyBuilder()
    earlier.records = builder.records[: begin + 2]  # ended after more than the journal has
    logged(parts, earlier)
    logged(parts, builder, begin)
    assert content(parts) == content(whole)
    logged(parts, builder, len(builder.records))
    assert content(parts) == content(whole)


def test_a_fold_that_begins_again_replaces_its_first_try(tmp_path):
    builder = StudyBuilder().every_kind_of_trial()
    builder.fold(4, 1)
    logged(tmp_path, builder)
    events = read(tmp_path, 4, 1)
    assert [step for step, _ in points(events, "val_loss")] == [1, 2, 3]
    assert len(content(tmp_path / NAME / "trial-00004")) == 1


def test_logs_of_another_study_of_the_name_are_left_alone(tmp_path):
    logged(tmp_path, StudyBuilder(study_id=STUDY_ID[::-1]).every_kind_of_trial())
    before = content(tmp_path)
    with pytest.raises(NotOurs, match="another study of that name"):
        logged(tmp_path, StudyBuilder().every_kind_of_trial())
    assert content(tmp_path) == before


@pytest.mark.slow
def test_tensorflow_is_not_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.tracking.test_tensorboard import logged\n"
        "from tests.studies import StudyBuilder\n"
        f"logged(Path({str(tmp_path)!r}), StudyBuilder().every_kind_of_trial())\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert content(tmp_path)


@pytest.mark.parametrize("name", ["..", "../up", "{}/elsewhere", "a/b"])
def test_a_studys_logs_are_in_one_folder_whatever_its_name(tmp_path, name):
    builder = StudyBuilder(name.format(tmp_path)).every_kind_of_trial()
    logged(tmp_path / "logs", builder)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    [folder] = (tmp_path / "logs").iterdir()
    assert (folder / "trial-00000" / "fold-01").is_dir()
