"""What happened in a study, as frozen records. Standard library only.

Records are the project's one durable format: the journal keeps them, everything else (MLflow,
tables, continuation) is derived from them. All times are seconds since 1970, UTC; all scores are
fractions; all losses are nats.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, TypeAlias

from tracking.text import fields_text

Json: TypeAlias = dict[str, Any]

FORMAT = 2  # of journals that begin now

# What is predicted: `StudyStarted.task`.
CLASSIFICATION, MULTI_LABEL, REGRESSION = "classification", "multi-label", "regression"
MULTI_OUTPUT = "multi-output"  # several of these at once


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records.

    Attributes:
        at: when it happened, seconds since 1970 (UTC).
    """

    kinds: ClassVar[dict[str, type["Record"]]] = {}
    at: float

    def __init_subclass__(cls) -> None:
        Record.kinds[cls.__name__] = cls
        cls.__repr__ = Record.__repr__  # type: ignore[method-assign] # not the dataclass's own

    def __repr__(self) -> str:
        """Return what was recorded without what has its default; long values are cut."""
        own = [known for known in fields(self) if known.name != "at"]
        said = [(known.name, getattr(self, known.name)) for known in own]
        kept = [
            pair for known, pair in zip(own, said, strict=True) if pair[1] != _default_of(known)
        ]
        return f"{type(self).__name__}({fields_text(kept)})"

    def to_json(self) -> Json:
        """Return the record as a JSON-ready dictionary with its kind."""
        return {"kind": type(self).__name__, **asdict(self)}


def _default_of(known: "Field[Any]") -> Any:
    return known.default if known.default_factory is MISSING else known.default_factory()


def record_from_json(data: Json) -> Record:
    """Return the record that `Record.to_json` described.

    Fields this version does not know are ignored, so that a journal written by a later version
    of the same kinds can still be read.

    Raises:
        ValueError: the kind is unknown or a field is missing.
    """
    kind = Record.kinds.get(str(data.get("kind")))
    if kind is None:
        raise ValueError(f"unknown kind of record: {data.get('kind')!r}")
    known = {known.name for known in fields(kind)}
    try:
        return kind(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, kw_only=True)
class StudyStarted(Record):
    """The first record of a journal: everything that identifies the study.

    Attributes:
        id: unique to this study, whatever its name; 32 hexadecimal digits.
        study: the study's name.
        space: the reference the space was given by.
        driver: the driver's name.
        settings: the settings that make up the study's identity (seed, folds, epochs, ...).
        parameters: one entry a parameter: name, kind, range (text), searched (bool), when; in
            later journals default and, of a choice, values.
        dataset: name, source, digest (SHA-256), classes (names), kind of the samples (image, text
            or table), samples (training samples used).
        folds: number of folds.
        folds_digest: SHA-256 of the fold indices.
        pixels: what the models of a hypermodel for images are given: `raw` (0 to 255) or `scaled`
            (0 to 1); empty for other spaces, and in earlier journals, whose were given the latter.
        waits: whether sampled trials wait for each other after their first fold; None in earlier
            journals, where those of racing do.
        format: of the journal: 2 where each line is linked to the one before, 1 where only those
            are that a later version wrote.
        split: of the folds: `share` (validation samples per training sample), `validated` (number
            of different samples in validation parts), `repeats` (how often each of them is
            validated), and of a splitter from Python `splitter` (its repr); empty in earlier
            journals, whose folds are stratified and validate each sample in use once.
        task: what is predicted: `classification`, `multi-label`, `regression`, or several at once:
            `multi-output`; the names of the classes, labels, numbers or outputs are
            `dataset["classes"]`, and `dataset["outputs"]` has each output's own task and names.
        objectives: what the study searches for, the most important first, as
            `Objective.to_json`; empty in earlier journals, whose settings name them.
        metrics: the scores that every complete trial has beside its loss, the task's main one
            first, as `Objective.to_json`; empty in earlier journals, which have accuracy and
            macro-F1.
        adapts_baselines: whether baselines that state other values than `--set` fixes are evaluated
            with the fixed ones; in earlier journals they are left out.
        baseline_first: whether a baseline is the best trial until another one beats it by more than
            luck; in earlier journals the best score is.
        learned: from which earlier studies it learned: `studies` (each with `study`, `id`,
            `dataset` and number of `settings`), `digest` (SHA-256 of the file in its folder), and
            `shipped` (whether they are recordings that come with the space); empty for none.
    """

    id: str
    study: str
    space: str
    driver: str
    settings: Json
    parameters: list[Json]
    dataset: Json
    folds: int
    folds_digest: str
    pixels: str = ""
    waits: bool | None = None
    format: int = 1
    split: Json = field(default_factory=dict)
    task: str = CLASSIFICATION
    objectives: list[Json] = field(default_factory=list)
    metrics: list[Json] = field(default_factory=list)
    adapts_baselines: bool = False
    baseline_first: bool = False
    learned: Json = field(default_factory=dict)

    @property
    def proposer(self) -> str:
        """Driver and sampler, such as `optuna/tpe`; of a class of samplers its name."""
        sampler = str(self.settings.get("sampler") or "")
        return f"{self.driver}/{sampler.rpartition(':')[2]}".strip("/")

    def parameter(self, name: str) -> Json:
        """Return the entry of a parameter; empty where there is none of that name."""
        return next((entry for entry in self.parameters if entry.get("name") == name), {})

    @property
    def kind(self) -> str:
        """The kind of the samples: `image`, `text` or `table`."""
        return str(self.dataset.get("kind", "image"))

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their numbers; of the labels or numbers."""
        return [str(name) for name in self.dataset.get("classes") or []]

    def outputs(
        self, report: Json, confusion: list[list[int]] | None = None
    ) -> "Iterator[OutputReport]":
        """Yield each of several outputs with its report; a single one's name is empty.

        Args:
            report: of the study, as `TrialEnded.report` or `TestSetOpened.report`.
            confusion: likewise.
        """
        if self.task != MULTI_OUTPUT:
            yield OutputReport("", self, report, confusion or [])
            return
        told = report.get("outputs", {})
        for entry in self.dataset.get("outputs", ()):
            own = told.get(entry["name"], {})
            dataset = {**self.dataset, "classes": list(entry["names"]), "outputs": []}
            study = replace(self, task=str(entry["task"]), dataset=dataset)
            yield OutputReport(
                str(entry["name"]), study, own.get("report") or {}, own.get("confusion") or []
            )


@dataclass(frozen=True)
class OutputReport:
    """How one of a model's outputs predicted.

    Attributes:
        name: the output's; empty for a single one.
        study: as if it had this output alone: its task, its classes.
        report: as `TrialEnded.report` of such a study; empty without predictions.
        confusion: as `TrialEnded.confusion` of such a study.
    """

    name: str
    study: StudyStarted
    report: Json
    confusion: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class SessionStarted(Record):
    """One invocation of `run` on the study began.

    Attributes:
        trials: the total number of trials this session aims at.
        confirm: how many of the best it is to confirm.
        auto_confirm: whether it was chosen for the user: on folds that are cut anew once, and only
            those that the study's folds cannot tell from the best.
        environment: versions, host, pid, git commit and whether it was dirty; `precision`,
            `workers`, and `plan`: the execution plan, with what was measured for it.
        stop: `auto` where it may end before all trials, as more would gain too little; else `none`.
        confirmation: of the folds that confirm trials, where there are any: `digest` (SHA-256 of
            their indices), `samples` (how many they use) and `unused` (how many of these the
            study's own folds do not), and what confirming costs, as a line, `told`.
        code: fingerprint of the space's code: `files` (name to `sha256` of the content and
            `syntax`, without comments and layout) and `packages` (name to version); empty in a
            journal from before there was one.
        accepted: how the code differs from that of the session before, a phrase each, as the user
            has accepted it. What was left unfinished then is trained anew.
        deadline: when the session ends in any case, seconds since 1970; None for never, and in a
            journal that does not say.
    """

    trials: int
    environment: Json
    confirm: int = 0
    auto_confirm: bool = False
    stop: str = "none"
    confirmation: Json = field(default_factory=dict)
    code: Json = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    deadline: float | None = None

    @property
    def plan(self) -> Json:
        """The execution plan; empty in a journal from before there was one."""
        found = self.environment.get("plan")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Record):
    """A setting was proposed; its evaluation begins.

    Attributes:
        trial: number from 0.
        parameters: the complete params, active parameters only. A sequence is a tuple, though JSON
            makes it a list.
        origin: `baseline:NAME`; `sampled`, by the driver; `enqueued`, by the user; or
            `imported:SOURCE`, from trials of another tool.
        compared_after: after how many epochs of its first fold racing compares it with the others
            first; 0 where another pruner judges, and in journals that do not say.
        proposed_by: of a sampled one what it follows: `portfolio:STUDY`, a setting of an earlier
            study; `prior:STUDY`, a new one that this study's scores let expect; empty for the
            sampler.
    """

    trial: int
    parameters: Json
    origin: str
    compared_after: int = 0
    proposed_by: str = ""

    def __post_init__(self) -> None:
        values = {name: _with_tuples(value) for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", values)

    @property
    def is_baseline(self) -> bool:
        """Whether it was named before the search; all others are candidates that it judges."""
        return self.origin.partition(":")[0] == "baseline"


@dataclass(frozen=True, kw_only=True)
class TrialEnqueued(Record):
    """Params that a user gave are to be evaluated before the driver is asked again.

    Attributes:
        id: of the request and the place in it; what has one is taken in once.
        parameters: as in `TrialStarted`.
        origin: likewise.
    """

    id: str
    parameters: Json
    origin: str

    def __post_init__(self) -> None:
        values = {name: _with_tuples(value) for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", values)


@dataclass(frozen=True, kw_only=True)
class TrialTold(Record):
    """The driver is told what params came to under another evaluation; no trial of the study.

    Attributes:
        id: as in `TrialEnqueued`.
        parameters: as in `TrialStarted`.
        origin: `imported:SOURCE`.
        objective: what was measured, by its name in the source.
        value: of it, as measured there. It is on another scale than the study's scores.
    """

    id: str
    parameters: Json
    origin: str
    objective: str
    value: float

    def __post_init__(self) -> None:
        values = {name: _with_tuples(value) for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", values)


@dataclass(frozen=True, kw_only=True)
class FoldStarted(Record):
    """Training on one fold begins, begins again after an interruption, or goes on after a pause.

    Attributes:
        fold: number from 1.
        kept: how many of its epochs are kept: it goes on after these; 0 where it begins with the
            first.
        ahead: whether it begins before racing has let its trial go on to it, on a worker that has
            nothing else to do.
        device: what TensorFlow computes on, `CPU` or `GPU`; empty in journals that do not say.
    """

    trial: int
    fold: int
    ahead: bool = False
    device: str = ""
    kept: int = 0


@dataclass(frozen=True, kw_only=True)
class FoldPaused(Record):
    """Training on one fold rests, to go on where its trial turns out to be worth it.

    Attributes:
        fold: number from 1.
        epoch: after which; 0 for a fold that was trained ahead and of which nothing is kept.
        seconds: wall time since it began or went on.
    """

    trial: int
    fold: int
    epoch: int
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EpochEnded(Record):
    """One epoch on one fold.

    Attributes:
        epoch: number from 1.
        metrics: `loss`, `accuracy` (training part, where the model measures it), `val_loss`,
            `val_accuracy` (validation part), and what else the model measures while it trains.
        model: what is trained, in the first epoch of one fold a trial: `parameters` (number of
            weights) and `summary` (Keras's, as text); else empty.
    """

    trial: int
    fold: int
    epoch: int
    metrics: dict[str, float]
    model: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldEnded(Record):
    """A fold was trained and scored.

    Attributes:
        loss: on the fold's validation part after the epoch that is scored: of classes the
            cross-entropy, nats, or the model's own loss where its outputs are scores; of other
            tasks the model's own loss, of targets as it is trained on them.
        accuracy: of classes, on the same; None for other tasks.
        macro_f1: unweighted mean of the classes' F1 on the same; None for other tasks.
        metrics: what else is recorded of the same, by the metric's name.
        seconds: wall time of building, training and scoring; that of training which paused before
            is part of it.
        epochs: number of epochs trained.
        scored_epoch: the epoch whose weights are scored: the last, unless early stopping chose an
            earlier one on an inner part of the training part; 0 in journals that do not say.
        predictions: file with the validation part's predictions, relative to the study's folder.
        outputs: what the model's outputs are: `probabilities`, `logits` or `scores`.
        thresholds: those that were tuned on the training part: of the second of two classes, or of
            each label; empty where they are 0.5, of scores 0.
        latency_ms: median milliseconds to predict one sample; None where it was not measured, as it
            is for one fold a trial where it is an objective.
    """

    trial: int
    fold: int
    loss: float
    accuracy: float | None = None
    macro_f1: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float
    predictions: str
    epochs: int = 0
    scored_epoch: int = 0
    outputs: str = "probabilities"
    thresholds: list[float] = field(default_factory=list)
    latency_ms: float | None = None

    def metric(self, name: str) -> float | None:
        """Return a metric by its name; None where it is not recorded."""
        if name in ("loss", "accuracy", "macro_f1"):
            value: float | None = getattr(self, name)
            return self.metrics.get(name) if value is None else value
        return self.metrics.get(name)


@dataclass(frozen=True, kw_only=True)
class AttemptFailed(Record):
    """A fold of a trial broke off; the trial has no outcome by that alone.

    Attributes:
        cause: `lost` (its worker died), `memory` (the worker's memory did not suffice), `time` (it
            took too long, or its worker fell silent), `disk` (there was no room for a file) or
            `machine` (the system failed at a file, in a way that may go better next time). A worker
            also reports `error`, an exception that nothing on the machine's side explains; it is
            not recorded as such, for it fails the trial.
        reason: what happened, one sentence.
        error: the traceback, or the worker's last words.
        fold: the fold's number; 0 in journals that do not say.
        model: as in `EpochEnded`, where it came to be built.
    """

    trial: int
    cause: str
    reason: str
    error: str = ""
    fold: int = 0
    model: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Notice(Record):
    """Something about a study's numbers that its user should know; recorded once.

    Attributes:
        text: what was found, and the remedy where there is one.
        trial: the trial at which it was found.
    """

    text: str
    trial: int


@dataclass(frozen=True, kw_only=True)
class JournalRepaired(Record):
    """The journal was mended: what could not be used was left out.

    Attributes:
        left_out: number of lines that were.
        gaps: number of places where lines are missing that are not known; what they told, such as
            that the test set was opened, is lost.
        text: what was wrong, for people.
    """

    left_out: int
    gaps: int
    text: str


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Record):
    """A trial is over.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        value: the study's first objective: for a complete trial over all folds, for a pruned one
            over those it finished; None where it finished none, and for a failed one.
        reason: why it was pruned or failed, one sentence; empty for a complete one.
        scores: for a complete trial `cv_loss` and for every metric NAME of its folds `cv_NAME`, the
            mean over folds, and `cv_NAME_std` (sample standard deviation over folds) of the
            task's main metric and of objectives; of classes also `macro_f1` (over all
            out-of-fold predictions) and, where it is an objective, `latency_ms` (median
            milliseconds to predict one sample).
        train_seconds: sum over the folds.
        epochs_trained: sum over the folds, unfinished ones included.
        model_parameters: number of weights; 0 where no model could be built, or where its folds
            were trained by a version that told of it only at a trial's end.
        confusion: rows are true classes, columns predicted, out-of-fold; empty without a fold.
        report: of the same predictions. Of classes: scikit-learn's classification report. Of
            labels: `report`, the same by label, and `confusion`, `[[true negatives, false
            positives], [false negatives, true positives]]` by label. Of numbers: `numbers`, by
            name: `rmse`, `mae`, `r2`, `bias`, `samples`, `range` and `density` (cells of a square
            grid over the range: row of the actual, column of the predicted value, count),
            `residuals` (`from`, `to`, `counts`; predicted less actual) and `by_size` (tenths of
            the samples by actual value: `from`, `to`, `samples`, `bias`, `mae`, `quantiles` of the
            residuals at 5, 25, 50, 75 and 95 %).
        summary: Keras's text summary of the model.
        device: what TensorFlow computed on, `CPU` or `GPU`.
        error: a failed trial's traceback.
        compared_folds: over how many of its first folds racing compared a trial that it dropped;
            what it trained beyond has no part in its value. 0 for other trials, and in journals
            that do not say.
    """

    trial: int
    state: str
    value: float | None
    reason: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    train_seconds: float = 0.0
    epochs_trained: int = 0
    model_parameters: int = 0
    confusion: list[list[int]] = field(default_factory=list)
    report: Json = field(default_factory=dict)
    summary: str = ""
    device: str = ""
    error: str = ""
    compared_folds: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialReopened(Record):
    """A failed trial is tried once more, as the user has asked; its finished folds are kept."""

    trial: int


@dataclass(frozen=True, kw_only=True)
class TrialConfirmed(Record):
    """A complete trial was evaluated once more, on other folds with other seeds.

    Its folds have the numbers above the study's: of k folds, k + 1 is the first.

    Attributes:
        repeats: how many times all folds were cut and trained anew.
        scores: `cv_accuracy`, `cv_accuracy_std`, `cv_loss` and `macro_f1`, each over the new folds
            alone (`macro_f1` as the mean of the folds'); empty where the evaluation failed.
        reason: why it failed, one sentence.
        error: a failed evaluation's traceback.
    """

    trial: int
    repeats: int
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Record):
    """One invocation of `run` ended in good order.

    Attributes:
        reason: `complete`, `timeout`, `interrupted`, `exhausted` (no setting left), `failed`,
            `stopped` (somebody asked for it), or `enough`: more trials would gain too little.
        told: of `enough`, why, one sentence.
        best: the best trial, where that is decided between a baseline and others; None where the
            best score decides, and in earlier journals.
        verdict: why it is that one, one sentence.
    """

    reason: str
    told: str = ""
    best: int | None = None
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyRenamed(Record):
    """The study has another name from now on.

    Attributes:
        study: the new name.
    """

    study: str


@dataclass(frozen=True, kw_only=True)
class ModelExported(Record):
    """The best setting was trained on all training data and written to a folder.

    Attributes:
        trial: the trial whose setting it is.
        folder: absolute path of the export folder.
        model_sha256: digest of its `model.keras`.
        curves: per epoch `loss` of the final training and, of classes, `accuracy`.
        train_seconds: wall time of the final training.
        model_parameters: number of weights.
        requirements: pinned packages the model needs, pip's notation.
        summary: Keras's text summary of the model.
        models: how many models it averages.
        members: of each trial whose models it averages `trial`, `seeds` (of each of its trainings),
            `weight` (of its values, all seeds together) and `epochs` (trained, of each seed); empty
            from earlier versions, where several models were one a fold.
        samples: number of samples it was trained on; 0 from earlier versions, which used those of
            the folds.
        epochs: number of epochs trained, the largest of all models; 0 from earlier versions.
        searched_samples: whether only samples of the folds were asked for.
        calibration: what is built in: `kind` (`none`, `temperature`, `isotonic`), `temperature`,
            and of out-of-fold predictions without and with it `loss_before`, `loss` (nested log
            loss, nats), `ece_before`, `ece`, `brier_before` and `brier`; or `why` there is none.
            Empty of numbers and from earlier versions.
        formats: of each format written: `format`, `file` (name in the folder), `bytes` and
            `difference` (largest from the Keras model's values, on real inputs; of numbers in
            standard deviations of the targets).
        alias: what the registered model is called: `champion` or `challenger`.
        alias_reason: why, one sentence.
        code: fingerprint of the space's code that built it, as in `SessionStarted`.
        accepted: how that differs from the code the trial was trained with, as the user has
            accepted it.
        thresholds: those that were tuned on the final training part, as in `FoldEnded`.
    """

    trial: int
    folder: str
    model_sha256: str
    curves: list[dict[str, float]]
    train_seconds: float
    model_parameters: int
    requirements: list[str]
    summary: str = ""
    models: int = 1
    members: list[Json] = field(default_factory=list)
    samples: int = 0
    epochs: int = 0
    searched_samples: bool = False
    calibration: Json = field(default_factory=dict)
    formats: list[Json] = field(default_factory=list)
    alias: str = "champion"
    alias_reason: str = ""
    code: Json = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)

    @property
    def averages(self) -> str:
        """What it averages, in words; empty where it is one model."""
        if self.models == 1:
            return ""
        if not self.members:
            return f"{self.models} models, one a fold"
        several = len(self.members) > 1
        parts = [
            f"trial {one['trial']}"
            + (f" x {len(one['seeds'])} seeds" if len(one["seeds"]) > 1 else "")
            + (f" ({one['weight']:.0%})" if several else "")
            for one in self.members
        ]
        return f"{self.models} models: {', '.join(parts)}"


@dataclass(frozen=True, kw_only=True)
class ReportWritten(Record):
    """A report of the study was written.

    Attributes:
        file: absolute path of the HTML file.
        sha256: its digest.
    """

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TestSetOpened(Record):
    """An exported model was scored on the test set.

    Attributes:
        by: the command that opened it, `export` or `evaluate`.
        model_sha256: digest of the `model.keras` that was scored.
        accuracy: fraction correct; None for other tasks than classification.
        loss: cross-entropy, nats; None where the model's outputs are scores, and for other tasks.
        macro_f1: unweighted mean of the classes' F1; None for other tasks.
        confusion: rows are true classes, columns predicted; empty for other tasks.
        report: as in `TrialEnded`.
        scores: every metric of the study, by its name.
        intervals: 95 % intervals of scores by the metric's name, `[low, high]`: of accuracy by
            Wilson's formula, of the others from samples drawn anew (bootstrap); empty in earlier
            journals.
        samples: number of test samples; 0 in earlier journals, whose `confusion` tells.
        reliability: the diagram of its probabilities, as `Reliability.to_json` has it; empty of
            numbers and scores.
        coverage: of sets or intervals: `wanted` (0.9), `found` (fraction that held the truth) and
            `size` (mean number of classes, of undecided labels, or half the width for each
            number) and `task`; empty without.
    """

    __test__ = False  # pytest: not a test class

    trial: int
    by: str
    model_sha256: str
    accuracy: float | None = None
    loss: float | None = None
    macro_f1: float | None = None
    confusion: list[list[int]] = field(default_factory=list)
    report: Json = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    samples: int = 0
    reliability: Json = field(default_factory=dict)
    coverage: Json = field(default_factory=dict)
