"""A study's final model: trained, written, tested, recorded and shipped."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.analysis.calibration import NONE
from search.data import Dataset
from search.data.folds import Folds
from search.environment import describe_environment, package_versions
from search.errors import DataError, SettingsError
from search.export.averaging import widest
from search.export.evaluation import (
    Decision,
    check_test_set,
    decide,
    open_test_set,
    write_results,
)
from search.export.evidence import BELIEVED, Belief, Evidence, unlike
from search.export.folder import ModelFolder, NeedsCode
from search.export.formats import chosen_formats, default_formats
from search.export.formats.base import Format
from search.export.formats.writing import (
    ExportFailed,
    Written,
    check_target,
    clear,
    exportable,
    not_writable,
    publish,
    rehearse,
    staged,
    write_formats,
)
from search.export.held_out import cuts, try_out
from search.export.held_out import told_before as told_before_trying
from search.export.loading import checked, code_of
from search.export.members import (
    AUTO,
    NO_ENSEMBLE,
    FinalModel,
    Member,
    OnEpoch,
    check_ensemble,
    check_refits,
    refit,
    told_before,
    untrained,
)
from search.export.refit import Final, chosen_trial, same_dataset
from search.export.scores import (
    TestScore,
    metric_name,
    metrics_of,
    on_test_set,
    samples_in,
    shown,
)
from search.quiet import load_tensorflow, standard_error_to
from search.studies import StudyReader, known_reader, opened_log
from search.study.opening import code_now, study_space
from search.tasks import OutputMeaning
from search.tasks.models import summary_of
from search.tasks.thresholds import DecidingOutputs
from search.tracker import Tracker
from spaces import Passed
from tracking import html
from tracking.event_log import EventLog
from tracking.history import History, TrialHistory
from tracking.home import Home, StudyFolder
from tracking.lock import StudyLocked
from tracking.provenance import code_changes, code_of_trial, sessions_of, version_changes
from tracking.records import ModelExported, StudyStarted, TestSetOpened
from tracking.text import Notify, counted, shell

REQUIREMENTS = ("tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class ExportRequest:
    """How a model is to be exported.

    Attributes:
        target: folder to write.
        trial: number of the trial whose setting is taken; None for the best.
        overwrite: replace a model at the target.
        formats: names with commas between them; None for what suits the samples.
        ensemble: whose models are averaged: `none` for the trial's alone; `auto` for those that are
            better beyond doubt by their out-of-fold predictions, unless a trial is named; or a
            number of trials.
        refits: how many seeds of each trial are trained and averaged.
        searched_samples: train on the samples that the study's folds used, not on all.
        force: make it champion whatever the comparison says.
        accept_changed_code: take the space's code also if the trial was trained with other.
        callbacks: the Keras callbacks that the trial was trained with, if they were passed.
        calibrate: build a calibration into the model, where out-of-fold predictions get better by
            it; where these say too little of the model, None builds none, and True trains models
            without a part of the samples first, which say it.
    """

    target: Path
    trial: int | None = None
    overwrite: bool = False
    formats: str | None = None
    ensemble: str = AUTO
    force: bool = False
    accept_changed_code: bool = False
    callbacks: Passed | None = None
    refits: int = 1
    searched_samples: bool = False
    calibrate: bool | None = None

    def __post_init__(self) -> None:
        check_refits(self.refits)
        check_ensemble(self.ensemble, self.trial)

    @property
    def averaged(self) -> str:
        """Which ensemble is asked for; a trial that is named stays alone."""
        return self.ensemble if self.trial is None else NO_ENSEMBLE


@dataclass(frozen=True, repr=False)
class Exported:
    """A final model.

    Attributes:
        study: what it is of.
        scores: its scores on the test set, the main one first.
        export: the model.
        samples: number of training samples.
        kind: of the samples: `image`, `text` or `table`.
        test: its scores on the test set.
        openings: how often the study's test set has been opened by now.
        waiting: records that have not reached MLflow yet.
    """

    study: StudyStarted
    scores: tuple[TestScore, ...]
    export: ModelExported
    samples: int
    kind: str
    test: TestSetOpened
    openings: int
    waiting: int

    def __repr__(self) -> str:
        formats = ", ".join(each["format"] for each in self.export.formats)
        return (
            f"<model of trial {self.export.trial} of {self.study.study!r}{self._tested()}, in"
            f" {self._place}: {formats}>"
        )

    @property
    def _place(self) -> Path:
        """The folder, from the working directory if it lies in that."""
        folder = Path(self.export.folder)
        return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder

    def _tested(self) -> str:
        first = next(iter(self.scores), None)
        return "" if first is None else f", test {first.metric} {shown(first.value)}"

    def _repr_html_(self) -> str:
        export, test = self.export, self.test
        how = f"average of {export.averages}, trained" if export.averages else "trained"
        curve = [(n, row["loss"]) for n, row in enumerate(export.curves, start=1) if "loss" in row]
        picture = html.plot([(html.BLUE, curve)], x="epoch", y="loss", name="loss of the training")
        return html.block(
            f"Model of trial {export.trial} of {self.study.study}{self._tested()}",
            html.muted(
                f"{how} on {counted(self.samples, 'training sample')} in"
                f" {export.train_seconds:.1f} s; tested on {counted(samples_in(test), 'sample')};"
                f" the test set has been opened {counted(self.openings, 'time')}"
            ),
            html.table(
                ("test", "", "95 % interval"),
                [
                    (
                        metric_name(each.metric),
                        shown(each.value),
                        "-" if each.interval is None else " to ".join(map(shown, each.interval)),
                    )
                    for each in self.scores
                ],
            ),
            html.matrix(test.confusion, self.study.classes),
            picture,
            html.muted("loss of the final training after each epoch") if picture else "",
            html.table(
                ("format", "file", "kB"),
                [(e["format"], e["file"], f"{e['bytes'] / 1e3:,.1f}") for e in export.formats],
            ),
            html.muted(f"in {self._place}; in MLflow: {export.alias}. {export.alias_reason}"),
        )


@dataclass(frozen=True)
class Evaluated:
    """A final model's scores, and how often the study's test set has been opened by now."""

    test: TestSetOpened
    history: History
    openings: int


def export_study(
    home: Home,
    study: str,
    request: ExportRequest,
    *,
    data_dir: Path | None,
    tracker: Tracker,
    on_epoch: OnEpoch,
    notify: Notify,
) -> Exported:
    """Train a study's best setting anew, write it, check it, test it and register it.

    What can be known before the training is found out before it: the formats are written and
    loaded once with untrained weights.

    Args:
        home: where the study is.
        study: its name.
        request: what is to be exported, and how.
        data_dir: where the user's own copies of datasets are.
        tracker: brings the records to MLflow.
        on_epoch: called after each epoch with the number of the model, from 1 (0 where there is
            one), the epoch's number and its metrics.
        notify: takes notices for the user.

    Raises:
        SettingsError: no such study or trial, a target that cannot be used, a format that is
            unknown, lacks its packages or does not take the model, or the space's code is not the
            one the trial was trained with.
        DataError: the dataset is not the one the study began with.
        ExportFailed: a format predicts otherwise than the Keras model.
    """
    reader = known_reader(home, study)
    folder, history = reader.folder, reader.history
    trial = chosen_trial(history, request.trial)
    begun = history.known_study()
    outputs = len(begun.dataset.get("outputs", ())) or 1
    formats = chosen_formats(request.formats or default_formats(begun.kind, outputs=outputs))
    check_target(request.target, overwrite=request.overwrite)
    dataset = same_dataset(history, home, data_dir, notify)
    check_test_set(dataset, study)
    metrics = metrics_of(begun, notify)
    evidence = Evidence(history, folder, dataset)
    members = evidence.members(request.averaged, request.refits, trial, notify)
    members = _together(history, members, dataset, folder, home, request, trial, notify)
    trial = history.trials[members[0].trial]
    decision = decide(history, trial, force=request.force)
    load_tensorflow(folder.worker_log())
    with _opened_log(reader, notify) as log:
        finals = _finals(history, members, dataset, folder, home, request)
        final = widest(finals)
        for member, one in zip(members, finals, strict=True):
            for sentence in _told_before(history, history.trials[member.trial], one):
                notify(sentence)
        for sentence in told_before(history, finals, members):
            notify(sentence)
        belief = _belief(evidence, finals, members, request, notify)
        with staged(request.target, overwrite=request.overwrite) as staging:
            _rehearse(finals, members, formats, staging, folder, belief)
            if request.calibrate and not _says_enough(belief, finals, members):
                belief = _held_out(history, finals, members, belief, on_epoch, notify)
            made = refit(finals, on_epoch, members)
            with _writing(request.target):
                made, belief, written = _write_calibrated(
                    final, made, belief, formats, staging, folder, notify
                )
                publish(staging, request.target)
        model = ModelFolder(request.target)
        export = _record_of(
            model,
            made,
            trial,
            written,
            decision,
            finals,
            belief,
            searched_samples=request.searched_samples,
        )
        log.append(export)
        write_results(model, history)
        with standard_error_to(folder.worker_log()):
            test = open_test_set(model, dataset, trial, by="export", metrics=metrics, notify=notify)
        log.append(test)
        write_results(model, history)
    waiting = tracker.sync(folder, notify)
    samples = made.samples
    return Exported(
        begun,
        on_test_set(test, history),
        export,
        samples,
        dataset.kind,
        test,
        len(history.test_openings),
        waiting,
    )


def evaluate_study(
    home: Home,
    study: str,
    *,
    data_dir: Path | None,
    tracker: Tracker,
    notify: Notify,
    accept_changed_code: bool = False,
) -> Evaluated:
    """Score a study's last exported model on the test set.

    Raises:
        SettingsError: no such study, or nothing was exported from it, or the model has classes of
            its space's code, which has changed since the export.
        DataError: the model or the dataset is not what it was.
    """
    reader = known_reader(home, study)
    folder, history = reader.folder, reader.history
    if not history.exports:
        raise SettingsError(
            f"study {study!r} has no exported model; write one with `{shell('export', study)}`"
        )
    export = history.exports[-1]
    if history.trials[export.trial].state != "complete":
        raise SettingsError(
            f"trial {export.trial}, whose model was exported, has lost a fold, and so its scores;"
            f" let it be trained again with `{shell('run', '--study', study)}`"
        )
    model = ModelFolder(Path(export.folder))
    if model.model_sha256() != export.model_sha256:
        raise DataError(f"{model.model} is not the file that `export` wrote; export again")
    dataset = same_dataset(history, home, data_dir, notify)
    if model.own_names() and not accept_changed_code:
        _check_classes(history, export, dataset, home)
    check_test_set(dataset, study)
    metrics = metrics_of(history.known_study(), notify)
    load_tensorflow(folder.worker_log())
    code = code_of(history.known_study().space, model.labels())
    with _opened_log(reader, notify) as log:
        with standard_error_to(folder.worker_log()):
            trial = history.trials[export.trial]
            try:
                test = open_test_set(
                    model,
                    dataset,
                    trial,
                    by="evaluate",
                    metrics=metrics,
                    notify=notify,
                    code=code,
                )
            except NeedsCode as error:
                raise error.with_remedy(
                    "Bring back the code that the study was made with."
                ) from error
        log.append(test)
        write_results(model, history)
    tracker.sync(folder, notify)
    return Evaluated(test, history, len(history.test_openings))


def _check_classes(history: History, export: ModelExported, dataset: Dataset, home: Home) -> None:
    start, space = study_space(history, dataset, home)
    changes = code_changes(export.code, code_now(start.space, space, dataset, home))
    if changes:
        raise SettingsError(
            f"the model has layers of space {start.space}, whose code has changed since the export:"
            f" {'; '.join(changes)}. Bring the old code back, or score it all the same with"
            " `--accept-changed-code`."
        )


def _rehearse(
    finals: Sequence[Final],
    members: Sequence[Member],
    formats: tuple[Format, ...],
    staging: Path,
    study: StudyFolder,
    belief: Belief,
) -> None:
    """Find out before the training whether the space's models can be written and read again."""
    import keras

    samples = widest(finals).samples()
    model, labels = belief.applied(*untrained(finals, members), samples.encoded)
    made = exportable(model, labels, samples)
    rehearse(formats, made, staging, log=study.worker_log())
    keras.backend.clear_session(free_memory=False)


def _write_calibrated(
    final: Final,
    trained: FinalModel,
    belief: Belief,
    formats: tuple[Format, ...],
    staging: Path,
    study: StudyFolder,
    notify: Notify,
) -> tuple[FinalModel, Belief, list[Written]]:
    """Write a trained model with its calibration, or without where a format cannot compute that.

    A calibration makes differences in the last digits of the smallest probabilities larger. The
    training is not thrown away for it.
    """
    encoded = final.samples().encoded
    made = belief.applied_to(trained, encoded)
    try:
        return made, belief, _write(final, made, formats, staging, study)
    except ExportFailed as error:
        if belief.calibration.kind == NONE:
            raise
        belief = belief.uncalibrated(f"with that, {error.why} from the Keras model's")
        notify(f"{belief.told}. Leave that format out of `--format` to have them calibrated")
    clear(staging)
    made = belief.applied_to(trained, encoded)
    return made, belief, _write(final, made, formats, staging, study)


def _write(
    final: Final,
    made: FinalModel,
    formats: tuple[Format, ...],
    staging: Path,
    study: StudyFolder,
) -> list[Written]:
    ready = exportable(made.model, made.labels, final.samples())
    written = write_formats(formats, ready, staging, log=study.worker_log())
    folder = ModelFolder(staging)
    labels = checked(ready.model, ready.labels) if folder.own_names() else ready.labels
    folder.write_labels(labels)
    return written


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise not_writable(target, error) from error


def _record_of(
    folder: ModelFolder,
    made: FinalModel,
    trial: TrialHistory,
    written: list[Written],
    decision: Decision,
    finals: Sequence[Final],
    belief: Belief,
    *,
    searched_samples: bool,
) -> ModelExported:
    return ModelExported(
        at=time.time(),
        trial=trial.number,
        folder=str(folder.path.resolve()),
        model_sha256=folder.model_sha256(),
        curves=made.curves,
        train_seconds=made.train_seconds,
        model_parameters=made.model.count_params(),
        requirements=[f"{name}=={found}" for name, found in package_versions(REQUIREMENTS).items()],
        summary=summary_of(made.model),
        models=made.models,
        members=list(made.members),
        samples=made.samples,
        epochs=len(made.curves),
        searched_samples=searched_samples,
        calibration=belief.to_json(),
        formats=[each.to_json() for each in written],
        alias=decision.alias,
        alias_reason=decision.reason,
        code=finals[0].fingerprint,
        accepted=list(dict.fromkeys(change for final in finals for change in final.accepted)),
        thresholds=_thresholds(made.labels.outputs),
    )


def _thresholds(outputs: OutputMeaning) -> list[float]:
    return list(outputs.thresholds) if isinstance(outputs, DecidingOutputs) else []


def _together(
    history: History,
    members: tuple[Member, ...],
    dataset: Dataset,
    folder: StudyFolder,
    home: Home,
    request: ExportRequest,
    trial: TrialHistory,
    notify: Notify,
) -> tuple[Member, ...]:
    """Return members whose models can be averaged; the trial alone where `auto` chose others.

    Raises:
        SettingsError: members that were asked for cannot share an input, or the space's code has
            changed.
    """
    finals = _finals(history, members, dataset, folder, home, request)
    try:
        widest(finals)
    except SettingsError as error:
        if request.averaged != AUTO:
            raise
        notify(f"one trial is exported: {error}")
        return (Member(trial.number, 1.0, request.refits),)
    return members


def _belief(
    evidence: Evidence,
    finals: Sequence[Final],
    members: Sequence[Member],
    request: ExportRequest,
    notify: Notify,
) -> Belief:
    """Return how far the final model can be believed, and say how it is calibrated."""
    first = finals[0]
    found = evidence.belief(members, samples=len(first.used), searched=first.folds.samples)
    if request.calibrate is False:
        return found.uncalibrated()
    if found.told and not (request.calibrate and found.why):
        can_be_tried = found.why and unlike(members, len(first.used), first.folds.samples)
        remedy = (
            ". `--calibrate` finds out how, by training models without a part of the samples first"
        )
        notify(found.told + (remedy if can_be_tried else ""))
    elif request.calibrate and _says_enough(found, finals, members) and not found.calibrated:
        notify(
            "`--calibrate` changes nothing here: numbers have no probabilities, and predictions out"
            " of fold say how wide their intervals must be"
        )
    return found


def _says_enough(belief: Belief, finals: Sequence[Final], members: Sequence[Member]) -> bool:
    """Return whether predictions out of fold say how far the final model can be believed."""
    first = finals[0]
    return not (belief.why or unlike(members, len(first.used), first.folds.samples))


def _held_out(
    history: History,
    finals: Sequence[Final],
    members: Sequence[Member],
    belief: Belief,
    on_epoch: OnEpoch,
    notify: Notify,
) -> Belief:
    """Return how far the final model can be believed by models trained without a part of its data.

    Where these can say nothing either, it is what was known.
    """
    first = finals[0]
    task, study = first.dataset.task, history.known_study()
    if task.name not in BELIEVED or not first.outputs_of(first.compiled()).are_probabilities:
        why = belief.why or "its values are no probabilities"
        notify(f"`--calibrate` finds nothing to calibrate: {why}")
        return belief
    parts = cuts(study, first.dataset, first.folds, first.used)
    notify(told_before_trying(history, finals, members, parts))
    found = Belief.of_held_out(try_out(finals, members, parts, on_epoch))
    if found.calibrated is not None:
        notify(found.told or "no calibration makes its probabilities better")
    return found


def _finals(
    history: History,
    members: Sequence[Member],
    dataset: Dataset,
    folder: StudyFolder,
    home: Home,
    request: ExportRequest,
) -> list[Final]:
    folds = Folds.load(folder.folds, digest=history.known_study().folds_digest)
    found = [
        Final.of(
            history,
            history.trials[member.trial],
            dataset,
            folds,
            home=home,
            accept_changed_code=request.accept_changed_code,
            callbacks=request.callbacks,
            searched_samples=request.searched_samples,
        )
        for member in members
    ]
    return [final.sharing(found[0]) for final in found]


def _told_before(history: History, trial: TrialHistory, final: Final) -> Iterator[str]:
    """Yield what the user should know of code and versions before the training."""
    if final.accepted:
        yield (
            f"trial {trial.number} was trained with other code, which is accepted:"
            f" {'; '.join(final.accepted)}. Its score is not this model's"
        )
    elif not code_of_trial(history, trial):
        yield (
            f"trial {trial.number} was trained by a version that did not record the space's code:"
            " whether it is the same is not known"
        )
    for session in sessions_of(history, trial)[-1:]:
        versions = version_changes(session.environment, describe_environment())
        if versions:
            yield f"trial {trial.number} was trained with other versions: now {', '.join(versions)}"


@contextmanager
def _opened_log(reader: StudyReader, notify: Notify) -> Iterator[EventLog]:
    try:
        with opened_log(reader, notify) as log:
            yield log
    except StudyLocked as error:
        raise SettingsError(f"{error}; wait for it to end") from error
