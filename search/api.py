"""The Python interface: functions for what the commands do.

    from search import load_study, run_study

    result = run_study(space="lenet", trials=8, folds=3, epochs=3)
    result = run_study(build, data=(X, y), folds=5, trials=20)  # your own function and arrays
    result.best.params
    result.trials.sort_values("cv_accuracy")
    result.figures["curves"].show()

Nothing is printed here; notices are raised as Python warnings at the line of the call, or passed to
your own function.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.data import Reading, known
from search.data.folds import Folds
from search.errors import FoldwiseError, SettingsError
from search.notices import Notice as Notice
from search.notices import warnings_at_caller
from search.quiet import load_tqdm
from search.studies import known_study
from search.study.autotune import ignored
from search.study.enqueuing import read_params
from search.study.opening import OpenStudy, open_study
from search.study.session import OnRecord, run_session
from search.study.settings import StudySettings, validate
from search.tasks import Task, task_of_study
from search.tasks.base import Predictions
from search.tasks.classification import ClassPredictions
from search.tracker import Tracker
from spaces import NarrowedSpace, Params, Passed, SpaceError, adopt, passed_as, reference_to
from tracking.history import Decision, History, TrialHistory
from tracking.home import DEFAULT_HOME, Home, StudyFolder
from tracking.html import study_html, study_line
from tracking.records import CLASSIFICATION
from tracking.stages import stages
from tracking.text import Notify, counted, joined, shell

if TYPE_CHECKING:
    import pandas
    from optuna import Study
    from plotly.graph_objects import Figure

    from search.analysis.comparison.comparison import Comparison
    from search.export.final import Exported


load_tqdm()

Display = Callable[[OpenStudy], AbstractContextManager[OnRecord]]


class Figures(dict[str, Any]):
    """Plotly figures by name; as text the names alone, for each figure holds all its numbers."""

    def __repr__(self) -> str:
        return f"<figures {', '.join(self)}>"


@dataclass(frozen=True, repr=False)
class StudyResult:
    """A study, as recorded in its journal.

    Attributes:
        folder: its files.
        history: all its records.
        reason: how the session ended: complete, exhausted, enough, timeout, failed, stopped or
            interrupted; empty for a study that was only loaded.
        waiting: number of records that have not reached MLflow yet.
        fallback: why another dataset than the space's own was used; empty if it was not.
        passed: the space, if it was passed as an object.
        callbacks: the callbacks, if any were passed.
    """

    folder: StudyFolder
    history: History
    reason: str = ""
    waiting: int = 0
    fallback: str = ""
    passed: Passed | None = field(default=None, repr=False)
    callbacks: Passed | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.history.known_study().study

    @property
    def best(self) -> TrialHistory | None:
        """The best complete trial, by confirmation folds where there are any; None without one.

        Where baselines were evaluated it is one of them, unless another trial has beaten it:
        `verdict` says why. `history.leader()` is the one with the best score.

        Its `params` are what it was trained with, `value` is its score, `finished_folds()` has each
        fold's.
        """
        return self.history.best()

    @property
    def best_trial(self) -> TrialHistory:
        """The same, where there is one.

        Raises:
            FoldwiseError: no trial is complete.
        """
        if self.best is None:
            raise FoldwiseError(
                f"study {self.name!r} has no complete trial, so none is the best; continue it with"
                " more `trials`, or see what `trials` says of those it has"
            )
        return self.best

    @property
    def verdict(self) -> str:
        """Why it is the best, one sentence; empty where there is no baseline to beat."""
        return self.history.decision.text if self.history.decision else ""

    @property
    def best_params(self) -> dict[str, Any]:
        """The best trial's params.

        Raises:
            FoldwiseError: no trial is complete.
        """
        return dict(self.best_trial.params)

    @property
    def best_value(self) -> float:
        """The best trial's score over the study's folds, of the first objective and in its unit.

        It is the best of many, and so partly luck; see `compare_studies` and `confirm`.

        Raises:
            FoldwiseError: no trial is complete.
        """
        return float(self.best_trial.value or 0.0)

    def best_model(
        self,
        *,
        trial: int | None = None,
        accept_changed_code: bool = False,
        data_dir: Path | str | None = None,
        notify: Notify | None = None,
    ) -> Any:
        """Return the best trial's Keras model, which predicts samples as they are.

        It is the model that was exported last, if that is the trial's; else it is trained on all
        training samples, as `export` does it, of which a notice tells. The test set stays closed.

        Its `predict` takes samples as they were passed to the study: arrays, a frame, texts, or a
        dictionary of these for several inputs. It returns float `(n, units)`, probabilities in the
        order of `target_names`, or numbers in their own unit; of several outputs a dictionary.
        `model(x)`, `fit` and `evaluate` are Keras's own and take `model.encode(samples)`; `save`
        writes the plain Keras model. It is not compiled.

        Args:
            trial: number of another trial.
            accept_changed_code: train even if the space's code has changed since the trial.
            data_dir: folder with datasets of your own.
            notify: takes notices; None makes them Python warnings.

        Raises:
            FoldwiseError: no trial is complete.
            SettingsError: no such trial, or changed code.
            DataError: the dataset is not the one the study began with.
        """
        from search.export.best_model import best_model

        if self.passed is not None:  # another function of its name may have been passed since
            adopt(self.passed)
        return best_model(
            self.home,
            self.name,
            self.best_trial.number if trial is None else trial,
            callbacks=self.callbacks,
            accept_changed_code=accept_changed_code,
            data_dir=data_folder(data_dir),
            notify=notify or warnings_at_caller(),
        )

    @property
    def trials(self) -> "pandas.DataFrame":
        """All trials, one a row, by number.

        Columns: `state` (as in `show`), `origin`, `proposed_by` (the earlier study that a sampled
        one follows), the scores over all folds (`cv_accuracy`, `cv_accuracy_std`, `cv_loss`,
        `macro_f1` ...; missing for a trial that has not seen them all), `folds` (finished),
        `epochs_trained`, `train_seconds`, `model_parameters`, `reason` (why it was pruned or
        failed), and `params_NAME` for each parameter.
        """
        import pandas

        states = stages(self.history)
        rows = [_row(trial, states[number]) for number, trial in self._by_number()]
        numbers = pandas.Index(sorted(self.history.trials), name="trial")
        frame = pandas.DataFrame(rows, index=numbers)
        parameters = [f"params_{entry['name']}" for entry in self.history.known_study().parameters]
        last = [name for name in parameters if name in frame.columns]
        return frame[[name for name in frame.columns if name not in last] + last]

    @property
    def folds(self) -> "pandas.DataFrame":
        """All finished folds, one a row.

        Columns: `trial`, `fold`, of classes `accuracy`, `loss` and `macro_f1`, else `loss`, all
        other metrics by their names, `epochs`, `seconds`, and `confirms`, which is true for
        confirmation folds.
        """
        import pandas

        is_of_classes = self.history.known_study().task == CLASSIFICATION
        own = ("accuracy", "loss", "macro_f1") if is_of_classes else ("loss",)
        found = [fold.ended for _, t in self._by_number() for fold in t.folds.values()]
        others = (name for ended in found if ended is not None for name in ended.metrics)
        metrics = tuple(dict.fromkeys((*own, *others)))
        columns = ("trial", "fold", *metrics, "epochs", "seconds")
        rows = [
            {n: ended.metric(n) if n in metrics else getattr(ended, n) for n in columns}
            | {"confirms": confirms}
            for _, trial in self._by_number()
            for confirms, found in (
                (False, trial.finished_folds()),
                (True, trial.finished_confirmation_folds()),
            )
            for ended in found.values()
        ]
        return pandas.DataFrame(rows, columns=[*columns, "confirms"])

    @property
    def splits(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Each fold's (training, validation) positions among the training samples.

        Those are the samples that were passed, in their order, without what was held out for the
        test: with `test=` or `test=False` all of them. Another study or scikit-learn's
        `cross_val_score` takes the list as `cv`.

        Raises:
            DataError: the study's file of folds is missing or damaged.
        """
        folds = Folds.load(self.folder.folds)
        return list(zip(folds.train, folds.validation, strict=True))

    @property
    def predictions(self) -> "pandas.DataFrame":
        """The out-of-fold predictions of all finished folds, a sample of a fold in each row.

        Columns: `trial`, `fold`, `sample` (its position, as in `splits`), then of classes `actual`
        and `predicted` by name, `predicted_probability` and `actual_probability`, which are those
        of these two classes (their scores, where a model gives no probabilities), and the
        probability of each class, `probability_` and its name (not in studies of earlier versions,
        nor of more than 256 classes); of numbers `actual` and `predicted`; of labels `actual` and
        `probability`. Where there are several numbers or labels, each has a column with its name
        after that. `confirms` is true for confirmation folds.

        Raises:
            DataError: a file of predictions or folds is missing or damaged.
        """
        import pandas

        task = task_of_study(self.history.known_study())
        folds = Folds.load(self.folder.folds)
        parts = dict(enumerate(folds.validation, start=1))
        if self.folder.confirmation_folds.exists():
            more = Folds.load(self.folder.confirmation_folds)
            parts |= dict(enumerate(more.validation, start=len(folds) + 1))
        frames = [
            pandas.DataFrame(
                {
                    "trial": number,
                    "fold": fold,
                    "sample": parts[fold],
                    **_predicted(task, task.predictions.load(self.folder.root / ended.predictions)),
                    "confirms": fold > len(folds),
                }
            )
            for number, trial in self._by_number()
            for fold, ended in (
                {**trial.finished_folds(), **trial.finished_confirmation_folds()}.items()
            )
            if ended.predictions
        ]
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    @property
    def figures(self) -> "dict[str, Figure]":
        """The report's figures by name, Plotly, drawn from the journal alone.

        `optimisation_history`, `importance`, `parallel_coordinates`, `slices`, `contours`,
        `curves`, `pruning`, `confusion`, `class_scores`, `time`, and `front` for two objectives;
        empty figures are left out.
        """
        from search.analysis.report.figures import figures

        return Figures(figures(self.history))

    def report(
        self,
        path: Path | str,
        *,
        overwrite: bool = False,
        data_dir: Path | str | None = None,
        tracking_uri: str | None = None,
        notify: Notify | None = None,
    ) -> Path:
        """Write the report, one HTML file, log it to MLflow, and return its path.

        Raises:
            SettingsError: there is no complete trial, or the file exists or cannot be written.
        """
        from search.analysis.report.report import write_report

        written = write_report(
            self.home,
            [self.name],
            target=Path(path),
            overwrite=overwrite,
            data_dir=data_folder(data_dir),
            tracker=Tracker(self.home, tracking_uri),
            notify=notify or warnings_at_caller(),
        )
        return written.file

    @property
    def home(self) -> Home:
        """The home that the study is in."""
        return Home(self.folder.root.parent.parent)

    def export(
        self,
        folder: Path | str,
        *,
        trial: int | None = None,
        formats: Sequence[str] | None = None,
        ensemble: str | int = "auto",
        refits: int = 1,
        calibrate: bool | None = None,
        searched_samples: bool = False,
        overwrite: bool = False,
        force: bool = False,
        accept_changed_code: bool = False,
        data_dir: Path | str | None = None,
        tracking_uri: str | None = None,
        notify: Notify | None = None,
    ) -> "Exported":
        """Train the best trial's model on all training data, test it, write and register it.

        Args:
            folder: where to write the model.
            trial: number of the trial to export; None for the best.
            formats: `keras`, `saved_model`, `tflite`, `onnx`; None for what suits the samples.
            ensemble: `none` for the model of one trial; `auto`, or a number of trials, to average
                those that are better together by their out-of-fold predictions.
            refits: how many seeds of each trial are trained and averaged.
            calibrate: None builds a calibration of probabilities into the model where out-of-fold
                predictions get better by it; True also finds one for averages of refits and for
                many more samples than the search had, by training models without a part of the
                samples first; False builds none.
            searched_samples: train on the samples that the search used; else on all training
                samples of the dataset.
            overwrite: replace an existing model.
            force: make it the champion even if it is worse than the current one.
            accept_changed_code: export even if the space's code has changed since the trial.
            data_dir: folder with datasets of your own.
            tracking_uri: MLflow server instead of the database in the home.
            notify: takes notices; None makes them Python warnings.

        Raises:
            SettingsError: no such trial, a target or format that cannot be used, a number of
                trainings or an ensemble that cannot be, or changed code.
            DataError: the dataset is not the one the study began with.
        """
        from search.export.final import ExportRequest, export_study

        if self.passed is not None:  # another function of its name may have been passed since
            adopt(self.passed)
        request = ExportRequest(
            Path(folder),
            trial=trial,
            overwrite=overwrite,
            formats=None if formats is None else ",".join(formats),
            ensemble=str(ensemble),
            refits=refits,
            calibrate=calibrate,
            searched_samples=searched_samples,
            force=force,
            accept_changed_code=accept_changed_code,
            callbacks=self.callbacks,
        )
        return export_study(
            self.home,
            self.name,
            request,
            data_dir=data_folder(data_dir),
            tracker=Tracker(self.home, tracking_uri),
            on_epoch=lambda *_: None,
            notify=notify or warnings_at_caller(),
        )

    def to_optuna(self, address: str) -> "Study":
        """Write all trials to a storage of Optuna, and return the study there.

        Again for the same study: bring it up to date. It is made from the journal; what Optuna adds
        to it is not brought back.

        Args:
            address: of a database, as Optuna takes it: `sqlite:///FILE`, `postgresql://...`.

        Raises:
            SettingsError: it cannot be written, or has what was not exported from this study.
        """
        from search.export.optuna import to_optuna

        return to_optuna(self.history, address).study

    def _by_number(self) -> list[tuple[int, TrialHistory]]:
        return sorted(self.history.trials.items())

    def __repr__(self) -> str:
        return f"<study {self.name!r}: {study_line(self.history)}>"

    def _repr_html_(self) -> str:
        notes = [self.fallback] if self.fallback else []
        if self.waiting:
            late = counted(self.waiting, "record")
            notes.append(f"{late} not in MLflow yet; `{shell('sync')}` brings them there")
        return study_html(self.history, self.reason, *notes)


def run_study(
    space: Any = None,
    settings: StudySettings | None = None,
    *,
    data: Any = None,
    test: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    time: Any = None,
    cv: Any = None,
    callbacks: Any = None,
    home: Path | str | None = None,
    tracking_uri: str | None = None,
    data_dir: Path | str | None = None,
    notify: Notify | None = None,
    display: Display | None = None,
    accept_changed_code: bool = False,
    enqueue: Any = (),
    tensorboard: Path | str | None = None,
    **asked: Any,
) -> StudyResult:
    """Search a space, or continue a study; Ctrl-C ends it in good order.

    Settings that are not given are those of the study where it exists, else the defaults. A study
    of data or code that were passed as objects is continued by passing the same again.

    Args:
        space: name or reference of a space; or a `Space`, a `keras_tuner.HyperModel` or a function
            `build(hp)`, also one from a notebook's cell. A `StudySettings` is taken for `settings`.
        settings: the options of `run`; only those given to the constructor count.
        data: (X, y) or (X, y, sample_weight) of arrays, lists, tensors or frames; or a
            `tf.data.Dataset` or `keras.utils.PyDataset` that ends. They are brought into the home
            once. `dataset` gives them a name then. None: the dataset that `dataset` names.
        test: the same for the test part; None to hold a fifth out; False for none: all samples are
            in the folds, and `export` has nothing to test the model on.
        groups: for each sample of `data` its group, or the name of a column: samples of one group
            are never on both sides of a split.
        sample_weight: for each sample of `data` its weight.
        time: for each sample of `data` its time, or the name of a column.
        cv: a number of folds, a scikit-learn splitter, or (training, validation) index pairs. A
            splitter cuts the training part; index pairs need a `test` or `test=False`, so that they
            are of all samples of `data`.
        callbacks: a list of `keras.callbacks.Callback`, copies of which act in every fold's
            training; or a function of params that returns one.
        home: folder that keeps studies, datasets and MLflow's store. [default: what the environment
            variable FOLDWISE_HOME names, else `mlruns`]
        tracking_uri: MLflow server instead of the database in the home.
        data_dir: folder with datasets of your own. [default: what the environment variable
            FOLDWISE_DATA_DIR or SEARCH_DATA_DIR names]
        notify: takes notices; None makes them Python warnings.
        display: takes the opened study and yields a function that is called with every record;
            `search.progress` shows what `run` shows, in a notebook in one place; None shows
            nothing. It may have a method `opening()`, a context while the data are read, and its
            function a method `stage(text)`, told what is done while nothing is trained.
        accept_changed_code: continue a study even if the space's code has changed.
        enqueue: params of your own, evaluated after the baselines and before others are sampled:
            dictionaries of names and values, or what `--enqueue` takes. Names that are left out
            take their defaults. Those that the study has evaluated are not evaluated twice.
        tensorboard: folder for TensorBoard's logs of every fold; None for none.
        asked: settings by name, as in `StudySettings`; they take precedence over `settings`.

    Raises:
        SettingsError: settings that break a rule, or differ from those the study began with; or
            the space's code has changed.
        DataError: the data are not available, damaged or of no form that can be used, or cannot be
            cut into the folds.
    """
    if isinstance(space, StudySettings):
        space, settings = None, space
    given = {} if settings is None else settings.model_dump(exclude_unset=True)
    wanted = {**given, **asked}
    tell = notify or warnings_at_caller()
    folders = home_folder(home)
    tracker = Tracker(folders, tracking_uri)  # before anything takes time or is written
    where = data_folder(data_dir)
    if cv is not None and "folds" in asked:
        raise SettingsError("give the folds once: `folds`, or `cv`")
    if isinstance(cv, int | np.integer):
        wanted["folds"], cv = int(cv), None
    if cv is not None and not hasattr(cv, "split") and test is None:
        raise SettingsError(
            "`cv`: index pairs must be of all samples of `data`, of which a fifth would be held out"
            " for the test; pass `test`, or test=False for none"
        )
    if space is not None:
        wanted["space"] = space_reference(space, tell)
    extras = {"groups": groups, "weights": sample_weight, "time": time}
    wanted |= {name: value for name, value in extras.items() if isinstance(value, str)}
    arrays = {name: None if isinstance(value, str) else value for name, value in extras.items()}
    with while_opening(display):
        if data is not None:
            wanted["dataset"] = bring_data(wanted, folders, tell, data=data, test=test, **arrays)
        elif test is not None or any(value is not None for value in arrays.values()):
            raise SettingsError(
                "`test`, `groups`, `sample_weight` and `time` as arrays belong to `data`, which is"
                " not given; for a dataset that is read from files, name columns"
            )
        opened = open_study(
            wanted,
            home=folders,
            data_dir=where,
            notify=tell,
            accept_changed_code=accept_changed_code,
            splitter=cv,
            callbacks=None if callbacks is None else _passed_callbacks(callbacks, tell),
        )
        waiting = read_params(enqueue, opened.narrowed.space)
    return run_opened(
        opened,
        tracker,
        tell,
        display,
        enqueue=waiting,
        tensorboard=None if tensorboard is None else Path(tensorboard),
    )


def while_opening(display: Display | None) -> AbstractContextManager[None]:
    """Return what a display shows while the data are read; a display may have nothing for it."""
    opening: AbstractContextManager[None] = getattr(display, "opening", nullcontext)()
    return opening


def run_opened(
    opened: OpenStudy,
    tracker: Tracker,
    notify: Notify,
    display: Display | None = None,
    *,
    enqueue: Sequence[Params] = (),
    tensorboard: Path | None = None,
) -> StudyResult:
    """Run an opened study; see `run_study`."""
    if opened.settings.baselines:
        _tell_of_baselines(opened.narrowed, notify)
    with (display or _unseen)(opened) as observe:
        done = run_session(
            opened,
            tracker,
            observe=observe,
            notify=notify,
            stage=getattr(observe, "stage", ignored),
            enqueue=enqueue,
            tensorboard=tensorboard,
            decide=_decide,
        )
    return StudyResult(
        opened.folder,
        done.history,
        done.reason,
        done.waiting,
        opened.fallback,
        passed_as(opened.settings.space),
        opened.callbacks,
    )


def _decide(history: History) -> Decision | None:
    from search.analysis.comparison.decision import decide  # SciPy takes a while to import

    return decide(history)


def _tell_of_baselines(narrowed: NarrowedSpace, notify: Notify) -> None:
    for name, why in narrowed.skipped.items():
        notify(f"baseline {name} is left out: {why}")
    if narrowed.adapted:
        called = joined(f'"{name}"' for name in narrowed.adapted.values())
        notify(
            f"`--set` fixes other values than {joined(narrowed.adapted)}"
            f" {'states' if len(narrowed.adapted) == 1 else 'state'}: evaluated with the fixed"
            f" ones, as {called}"
        )


def space_reference(space: Any, notify: Notify) -> str:
    """Return the reference of a space that is given by name or as an object.

    Raises:
        SettingsError: it is no space, or cannot be sent to worker processes.
    """
    try:
        return reference_to(space, notify)
    except SpaceError as error:
        raise SettingsError(f"`space`: {error}") from error


def _passed_callbacks(callbacks: Any, notify: Notify) -> Passed | None:
    from spaces.declaring.passing import pass_callbacks

    try:
        return pass_callbacks(callbacks, notify) if callbacks else None
    except SpaceError as error:
        raise SettingsError(str(error)) from error


def bring_data(wanted: Mapping[str, Any], home: Home, notify: Notify, **given: Any) -> str:
    """Bring data that were passed as objects into the home, and return their dataset's name.

    Args:
        wanted: a study's settings by name; those that say how data are read count, and `dataset`,
            which is what the user calls the data.
        home: keeps them.
        notify: takes notices.
        given: as `Given.of` takes it.

    Raises:
        DataError: they are of no form that can be used.
        SettingsError: `dataset` is no name for them, or the home cannot be written.
    """
    from search.data.formats.memory import Given
    from search.data.sources import bring

    title = str(wanted.get("dataset") or "")
    is_word = title.replace("-", "").replace("_", "").isalnum()
    if title and (not is_word or title in {entry.name for entry in known()}):
        raise SettingsError(
            "`dataset` beside `data` gives them a name of letters, digits, - and _, which no"
            f" dataset has; got {title!r}"
        )
    options = {name: value for name, value in wanted.items() if name in Reading.names()}
    reading = Reading.of(validate({"space": "mlp", **options}).model_dump())  # whatever the space
    found = Given.of(**given, title=title)
    return bring(found, home=home.root, reading=reading, notify=notify).name


def load_study(name: str, *, home: Path | str | None = None) -> StudyResult:
    """Load a study of a home, finished or running.

    Args:
        name: the study's.
        home: where it is. [default: what the environment variable FOLDWISE_HOME names, else
            `mlruns`]

    Raises:
        SettingsError: there is no such study; with the near matches.
        FoldwiseError: its journal is damaged.
    """
    from search.analysis.comparison.decision import with_decision

    folder, history = known_study(home_folder(home), name)
    return StudyResult(folder, with_decision(history))


def compare_studies(
    *studies: StudyResult | str,
    trials: str = "best",
    objective: str = "",
    latency: bool = False,
    home: Path | str | None = None,
    data_dir: Path | str | None = None,
    notify: Notify | None = None,
) -> "Comparison":
    """Compare trials of one study, or the best trials of several studies on one dataset.

    Args:
        studies: their names, or what `run_study` and `load_study` return.
        trials: `best`, or numbers of one study's trials, separated by commas.
        objective: metric to compare by, one that all recorded; empty: the studies' own.
        latency: measure how long one prediction takes, which imports TensorFlow.
        home: where they are. [default: that of the given results, else what the environment
            variable FOLDWISE_HOME names, else `mlruns`]
        data_dir: folder with datasets of your own. [default: what the environment variable
            FOLDWISE_DATA_DIR or SEARCH_DATA_DIR names]
        notify: takes notices; None makes them Python warnings.

    Returns:
        All numbers; `verdict` puts them in words.

    Raises:
        SettingsError: no such study or trial, or studies on different datasets.
        FoldwiseError: a study has no complete trial.
    """
    from search.analysis.comparison.comparison import compare
    from search.analysis.comparison.contenders import chosen_contenders

    several = [
        each for one in studies for each in (one if isinstance(one, list | tuple) else [one])
    ]
    folders = _home_of(several, home)
    names = [one.name if isinstance(one, StudyResult) else one for one in several]
    contenders = chosen_contenders(folders, names, trials)
    if not latency:
        return compare(contenders, objective=objective)
    from search.export.refit import measured_latencies

    found = measured_latencies(
        folders, contenders, data_dir=data_folder(data_dir), notify=notify or warnings_at_caller()
    )
    return compare(contenders, objective=objective, latencies=found)


def _home_of(studies: Sequence[StudyResult | str], given: Path | str | None) -> Home:
    """Return the home in which all studies to compare are."""
    for one in studies:
        if not isinstance(one, StudyResult | str):
            raise SettingsError(
                "studies to compare must be names, or what `run_study` and `load_study` return; got"
                f" {type(one).__name__}"
            )
    results = [one for one in studies if isinstance(one, StudyResult)]
    found = home_folder(results[0].home.root if results and given is None else given)
    for result in results:
        if result.home.root.resolve() != found.root.resolve():
            raise SettingsError(
                f"studies to compare must be in one home; {result.name} is in {result.home.root},"
                f" not in {found.root}"
            )
    return found


def home_folder(given: Path | str | None) -> Home:
    """Return the home: what was given, else what the environment names, else the default."""
    return Home(Path(given or os.environ.get("FOLDWISE_HOME") or DEFAULT_HOME))


def data_folder(given: Path | str | None) -> Path | None:
    """Return the folder of a user's datasets: what was given, else what the environment names."""
    known = given or os.environ.get("FOLDWISE_DATA_DIR") or os.environ.get("SEARCH_DATA_DIR")
    return Path(known) if known else None


def _unseen(_: OpenStudy) -> AbstractContextManager[OnRecord]:
    return nullcontext(lambda _: None)


_ARRAYS = {  # of predictions, as columns
    "labels": "actual",
    "confidence": "predicted_probability",
    "truth": "actual_probability",
    "probabilities": "probability",
    "halves": "probability",
    "thresholds": "threshold",
    "values": "predicted",
    "wrong": "error",
}


def _predicted(task: Task, predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Return predictions as columns of a frame."""
    columns: dict[str, NDArray[Any]] = {}
    for name, array in predictions.arrays.items():
        column = _ARRAYS.get(name, name)
        if name == "halves" and isinstance(predictions, ClassPredictions):
            array = np.asarray(predictions.probabilities)  # right near 1, too
        if task.name == CLASSIFICATION and column in ("actual", "predicted"):
            columns[column] = np.asarray(task.names)[array]
        elif array.ndim == 1:
            columns[column] = array
        else:
            count = array.shape[1]
            names = task.names if len(task.names) == count else [str(n) for n in range(count)]
            several = {f"{column}_{n}": array[:, place] for place, n in enumerate(names)}
            columns |= several if count > 1 else {column: array[:, 0]}
    return columns


def _row(trial: TrialHistory, state: str) -> dict[str, Any]:
    ended = trial.ended
    epochs = sum(len(fold.epochs) for fold in trial.folds.values())
    return {
        "state": state,
        "origin": trial.started.origin,
        "proposed_by": trial.started.proposed_by,
        **(ended.scores if ended and ended.state == "complete" else {}),
        "folds": len(trial.finished_folds()),
        "epochs_trained": ended.epochs_trained if ended else epochs,
        "train_seconds": ended.train_seconds if ended else None,
        "model_parameters": (ended.model_parameters or None) if ended else None,
        "reason": ended.reason if ended else "",
        **{f"params_{name}": value for name, value in trial.started.parameters.items()},
    }
