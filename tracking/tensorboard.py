"""A study's folds as TensorBoard's runs: scalars by epoch, params and outcome for its hparams page.

They are written from the study's records, where these are written: by the coordinator, with
TensorBoard's own messages and without TensorFlow. `DIR/STUDY/trial-00007/fold-02` has one file. All
of it can be made again from the journal, and is when a session begins; so nothing is there twice,
whatever an earlier session left.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.files import whole_file
from tracking.history import FoldHistory, History, TrialHistory
from tracking.home import folder_name
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
    TrialEnded,
)

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

_OWN = ".foldwise"  # how our files end
_MARK = "foldwise-study"  # the file with the study's identifier


class NotOurs(Exception):
    """The folder of a study has the logs of another study of that name."""


class TensorBoardLogs:
    """Keeps a folder of logs like the study's history.

    Args:
        folder: of all studies' logs.
        history: of a study that has begun; records that are written are in it already.

    Raises:
        NotOurs: another study of its name has its logs there.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, history: History) -> None:
        study = history.known_study()
        self._history = history
        self._folder = folder / folder_name(study.study)
        self._folder.mkdir(parents=True, exist_ok=True)
        mark = self._folder / _MARK
        if mark.exists() and mark.read_text("utf-8").strip() != study.id:
            raise NotOurs(f"{self._folder} has the logs of another study of that name")
        mark.write_text(f"{study.id}\n", "utf-8")
        self._catch_up()

    def write(self, record: Record) -> None:
        """Write what a record tells of a fold.

        Raises:
            OSError: the folder cannot be written any more.
        """
        match record:
            case FoldStarted() | FoldPaused():  # which may leave epochs out
                trial = self._history.trials[record.trial]
                fold = self._history.folds_of(record)[record.fold]
                self._put(self._place(trial.number, record.fold), fold, _whole(trial, fold))
            case EpochEnded() | FoldEnded():
                fold = self._history.folds_of(record)[record.fold]
                self._append(record.trial, record.fold, fold, _of(record))
            case TrialEnded():
                trial = self._history.trials[record.trial]
                for number, fold in _folds(trial):
                    if fold.ended is None:
                        self._append(trial.number, number, fold, _broken_off(record))
            case _:
                pass

    def _catch_up(self) -> None:
        """Write all folds anew, and remove files of folds that are no more."""
        known = {
            self._put(self._place(trial.number, number), fold, _whole(trial, fold))
            for trial in self._history.trials.values()
            for number, fold in _folds(trial)
        }
        for path in self._folder.glob(f"trial-*/fold-*/*{_OWN}"):
            if path not in known:
                path.unlink()

    def _place(self, trial: int, fold: int) -> Path:
        return self._folder / f"trial-{trial:05d}" / f"fold-{fold:02d}"

    def _put(self, place: Path, fold: FoldHistory, events: Iterable["Event"]) -> Path:
        """Write a fold's file in place of any other."""
        place.mkdir(parents=True, exist_ok=True)
        path = place / _name(fold)
        with whole_file(path, to_disk=False) as file:
            file.write(_encoded(events))
        for other in place.glob(f"*{_OWN}"):
            if other != path:
                other.unlink()
        return path

    def _append(
        self, trial: int, number: int, fold: FoldHistory, events: Iterable["Event"]
    ) -> None:
        with (self._place(trial, number) / _name(fold)).open("ab") as file:
            file.write(_encoded(events))


def _name(fold: FoldHistory) -> str:
    """Return the name of a fold's file, another one each time that it begins."""
    return f"events.out.tfevents.{fold.began_at:.6f}{_OWN}"


def _folds(trial: TrialHistory) -> Iterator[tuple[int, FoldHistory]]:
    yield from trial.folds.items()
    yield from trial.confirmation_folds.items()


def _encoded(events: Iterable["Event"]) -> bytes:
    """Return events in the format of TensorBoard's files."""
    from io import BytesIO

    from tensorboard.summary.writer.record_writer import RecordWriter

    content = BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    return content.getvalue()


def _whole(trial: TrialHistory, fold: FoldHistory) -> Iterator["Event"]:
    """Yield all that is known of a fold, in the order in which it is written."""
    yield from _begin(trial, fold)
    for epoch in fold.epochs.values():
        yield from _of(epoch)
    if fold.ended is not None:
        yield from _of(fold.ended)
    elif trial.ended is not None:
        yield from _broken_off(trial.ended)


def _begin(trial: TrialHistory, fold: FoldHistory) -> Iterator["Event"]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    at = fold.began_at
    yield Event(wall_time=at, file_version="brain.Event:2")
    params = {name: _hparam(value) for name, value in trial.params.items()}
    # Folds of one trial are a group, for which the page shows means.
    summary = hparams_pb(params, trial_id=f"trial {trial.number}", start_time_secs=at)
    yield Event(wall_time=at, summary=summary)


def _of(record: EpochEnded | FoldEnded) -> Iterator["Event"]:
    from tensorboard.compat.proto.event_pb2 import Event

    if isinstance(record, EpochEnded):
        yield Event(wall_time=record.at, step=record.epoch, summary=_scalars(record.metrics))
        return
    known = {"loss": record.loss, "accuracy": record.accuracy, "macro_f1": record.macro_f1}
    scores = {name: value for name, value in known.items() if value is not None} | record.metrics
    summary = _scalars({f"score/{name}": value for name, value in scores.items()})
    yield Event(wall_time=record.at, step=record.scored_epoch or record.epochs, summary=summary)
    yield _end(record.at, "STATUS_SUCCESS")


def _broken_off(ended: TrialEnded) -> Iterator["Event"]:
    # The page knows no pruned ones.
    yield _end(ended.at, "STATUS_FAILURE" if ended.state == "failed" else "STATUS_UNKNOWN")


def _scalars(values: dict[str, float]) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return Summary(value=found)


def _end(at: float, status: str) -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    ended = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(status), end_time_secs=at)
    about = metadata.create_summary_metadata(
        plugin_data_pb2.HParamsPluginData(session_end_info=ended)
    )
    tag, nothing = metadata.SESSION_END_INFO_TAG, metadata.NULL_TENSOR
    value = Summary.Value(tag=tag, metadata=about, tensor=nothing)
    return Event(wall_time=at, summary=Summary(value=[value]))


def _hparam(value: Any) -> bool | int | float | str:
    """Return a param's value as the page takes it; others as text."""
    return value if isinstance(value, bool | int | float | str) else str(value)
