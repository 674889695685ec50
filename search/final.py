"""A study's final model: trained, written, tested, recorded and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.chatter import load_tensorflow
from search.datasets import Dataset, load
from search.errors import DataError, SettingsError
from search.export import OnEpoch, chosen_trial, prepare_target, refit, write_model
from search.folds import Folds
from search.held_out import open_test_set, write_results
from search.model_folder import ModelFolder
from search.studies import Notify, known_study
from search.tracker import Tracker
from tracking.history import History
from tracking.home import Home, StudyFolder
from tracking.journal import Journal
from tracking.lock import StudyLock, StudyLocked
from tracking.records import ModelExported, Record, TestSetOpened


@dataclass(frozen=True)
class Exported:
    """A final model.

    Attributes:
        export: the model.
        samples: number of training samples.
        kind: of the samples: `image`, `text` or `table`.
        test: its scores on the test set.
        openings: how often the study's test set has been opened by now.
        waiting: records that have not reached MLflow yet.
    """

    export: ModelExported
    samples: int
    kind: str
    test: TestSetOpened
    openings: int
    waiting: int


@dataclass(frozen=True)
class Evaluated:
    """A final model's scores, and how often the study's test set has been opened by now."""

    test: TestSetOpened
    classes: tuple[str, ...]
    openings: int


def export_study(
    home: Home,
    study: str,
    *,
    target: Path,
    number: int | None,
    overwrite: bool,
    data_dir: Path | None,
    tracker: Tracker,
    on_epoch: OnEpoch,
    notify: Notify,
) -> Exported:
    """Train a study's best setting on all training data, test it, write and register it.

    Args:
        home: where the study is.
        study: its name.
        target: folder to write.
        number: trial whose setting is taken; None for the best.
        overwrite: replace a model at the target.
        data_dir: where the user's own copies of datasets are.
        tracker: brings the records to MLflow.
        on_epoch: called after each epoch with its number and metrics.
        notify: takes notices for the user.

    Raises:
        SettingsError: no such study or trial, or a target that cannot be used.
        DataError: the dataset is not the one the study began with.
    """
    folder, history = known_study(home, study)
    trial = chosen_trial(history, number)
    prepare_target(target, overwrite=overwrite)
    dataset = _same_dataset(history, home, data_dir, notify)
    load_tensorflow(folder.worker_log())
    with _recording(folder, history) as record:
        folds = Folds.load(folder.folds)
        final = refit(history, trial, dataset, folds, home=home, on_epoch=on_epoch)
        export = write_model(final, trial, target)
        record(export)
        test = open_test_set(ModelFolder(target), dataset, trial, by="export")
        record(test)
        write_results(ModelFolder(target), history)
    waiting = tracker.sync(folder, notify)
    samples = int(history.study.dataset["samples"]) if history.study else 0
    return Exported(export, samples, dataset.kind, test, len(history.test_openings), waiting)


def evaluate_study(
    home: Home, study: str, *, data_dir: Path | None, tracker: Tracker, notify: Notify
) -> Evaluated:
    """Score a study's last exported model on the test set.

    Raises:
        SettingsError: no such study, or nothing was exported from it.
        DataError: the model or the dataset is not what it was.
    """
    folder, history = known_study(home, study)
    if not history.exports:
        raise SettingsError(
            f"study {study!r} has no exported model; write one with"
            f" `python -m search export {study}`"
        )
    export = history.exports[-1]
    model = ModelFolder(Path(export.folder))
    if model.model_sha256() != export.model_sha256:
        raise DataError(f"{model.model} is not the file that `export` wrote; export again")
    dataset = _same_dataset(history, home, data_dir, notify)
    load_tensorflow(folder.worker_log())
    with _recording(folder, history) as record:
        test = open_test_set(model, dataset, history.trials[export.trial], by="evaluate")
        record(test)
        write_results(model, history)
    tracker.sync(folder, notify)
    return Evaluated(test, dataset.classes, len(history.test_openings))


def _same_dataset(history: History, home: Home, data_dir: Path | None, notify: Notify) -> Dataset:
    if history.study is None:
        raise SettingsError("the study has not begun")
    recorded = history.study.dataset
    dataset = load(recorded["name"], home=home.root, data_dir=data_dir, notify=notify)
    if dataset.digest != recorded["digest"]:
        raise DataError(
            f"dataset {dataset.name} is not the one the study began with"
            f" (digest {recorded['digest'][:12]}, now {dataset.digest[:12]});"
            " point `--data-dir` to that one"
        )
    return dataset


@contextmanager
def _recording(folder: StudyFolder, history: History) -> Iterator["_Recorder"]:
    try:
        with StudyLock(folder.lock), Journal(folder.journal) as journal:
            yield _Recorder(journal, history)
    except StudyLocked as error:
        raise SettingsError(f"{error}; wait for it to end") from error


@dataclass(frozen=True)
class _Recorder:
    journal: Journal
    history: History

    def __call__(self, record: Record) -> None:
        self.journal.append(record)
        self.history.add(record)
