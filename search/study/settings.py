"""The settings of a study, validated once; all faults are reported together."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from search.data.sources import absolute as absolute_dataset
from search.data.splits import MAX_FOLDS, Split
from search.errors import SettingsError, near_matches
from search.executors import EXECUTORS, missing_for
from search.study.drivers.catalog import DRIVERS, default_sampler, sampler_hint
from search.study.drivers.samplers import is_reference
from search.study.execution import AUTO
from search.study.notation import (
    LEAST_MEMORY,
    as_text,
    column_list,
    column_types,
    confirmed_trials,
    input_columns,
    json_mapping,
    memory,
    sampler_reference,
    seconds,
    set_texts,
    target_columns,
    worker_count,
)
from search.study.pruners import PRUNERS
from spaces import absolute
from spaces import names as space_names
from tracking.objectives import OBJECTIVES, objective_names

# Groups of settings, as `run --help` shows them.
WHAT = "What is searched"
DATA = "How the data are read"
HOW_MUCH = "How much"
HOW_JUDGED = "How params are proposed and judged"
HOW_COMPUTED = "How it is computed"
WHERE_KEPT = "Where it is stored"

AUTO_LEARNING, NO_LEARNING, SHIPPED_LEARNING = ("auto",), ("none",), ("shipped",)


def _setting(group: str, told: str, *, unless: str = "", identity: bool = False) -> Any:
    """Return the field of a setting, with its text for `run --help` and the class's documentation.

    Args:
        group: its group of options in `run --help`.
        told: its help in one or two sentences.
        unless: the default in words, if the value does not say it.
        identity: whether another value makes another study.
    """
    extra: Any = {"group": group, "unless": unless, "identity": identity}
    return Field(description=told, json_schema_extra=extra)


class StudySettings(BaseModel):
    """The settings of a study; each field is an option of `run`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: Annotated[
        str,
        _setting(
            WHAT,
            "Name, package.module:ATTRIBUTE or file.py:ATTRIBUTE (runs that code).",
            identity=True,
        ),
    ]
    dataset: Annotated[
        str | None,
        _setting(
            WHAT,
            "Name, csv:TRAIN[,TEST], parquet:..., jsonl:..., npz:FILE, folder:DIR or tfds:NAME.",
            unless="the space's own",
            identity=True,
        ),
    ] = None
    set: Annotated[
        dict[str, str],
        BeforeValidator(set_texts),
        Field(default_factory=dict),
        _setting(
            WHAT,
            "Fix or narrow a parameter: NAME=VALUE, NAME=LOW:HIGH or NAME=A,B; repeatable.",
            identity=True,
        ),
    ]
    baselines: Annotated[
        bool, _setting(WHAT, "Evaluate published params first.", identity=True)
    ] = True
    limit_samples: Annotated[
        Annotated[int, Field(ge=10)] | None,
        _setting(
            WHAT, "Use a stratified part of the training samples.", unless="all", identity=True
        ),
    ] = None
    drop_duplicates: Annotated[
        bool,
        _setting(
            WHAT,
            "Leave out training samples that are repeated, contradict each other or are in the test"
            " set.",
            identity=True,
        ),
    ] = False
    pixels: Annotated[
        Literal["auto", "raw", "scaled"],
        _setting(
            WHAT,
            "Pixels that a build function's or hypermodel's models receive: raw (0 to 255),"
            " scaled (0 to 1), or auto: raw if the models rescale them.",
            identity=True,
        ),
    ] = "auto"
    target: Annotated[
        str | None,
        BeforeValidator(target_columns),
        _setting(
            DATA,
            "Column with the class or the number to predict, or several: a,b.",
            unless="the one called label, target or class",
            identity=True,
        ),
    ] = None
    task: Annotated[
        Literal["classification", "multi-label", "regression"] | None,
        _setting(
            DATA,
            "What the targets are: classification (a class), multi-label (any number of labels) or"
            " regression (numbers).",
            unless="as the targets show",
            identity=True,
        ),
    ] = None
    ignore: Annotated[
        tuple[str, ...],
        BeforeValidator(column_list),
        _setting(DATA, "Columns to leave out: a,b.", unless="none", identity=True),
    ] = ()
    types: Annotated[
        dict[str, Literal["number", "category", "truth", "date"]],
        BeforeValidator(column_types),
        Field(default_factory=dict),
        _setting(
            DATA,
            "Types of columns where the ones found are wrong: age=category,zip=category.",
            identity=True,
        ),
    ]
    text: Annotated[
        str | None,
        _setting(DATA, "Column with the text, if samples are texts.", unless="none", identity=True),
    ] = None
    input: Annotated[
        tuple[str, ...],
        BeforeValidator(input_columns),
        _setting(
            DATA,
            "Columns of each of a model's inputs: body=age,bmi;blood=* (* for all others).",
            unless="one input",
            identity=True,
        ),
    ] = ()
    groups: Annotated[
        str | None,
        _setting(
            DATA,
            "Column such as patient: rows with the same value stay on one side of every split.",
            unless="none",
            identity=True,
        ),
    ] = None
    time: Annotated[
        str | None,
        _setting(DATA, "Column by which rows are ordered in time.", unless="none", identity=True),
    ] = None
    weights: Annotated[
        str | None,
        _setting(DATA, "Column with the weight of each row.", unless="all alike", identity=True),
    ] = None
    fold_column: Annotated[
        str | None,
        _setting(
            DATA,
            "Column with the number of the fold, from 1, in which a row is validated.",
            unless="none",
            identity=True,
        ),
    ] = None
    allow_duplicates: Annotated[
        bool,
        _setting(
            DATA,
            "Let equal samples be on both sides of a split; otherwise each stays with its copies.",
            identity=True,
        ),
    ] = False
    header: Annotated[
        Literal["first", "none"],
        _setting(DATA, "Whether the first line names the columns: first or none.", identity=True),
    ] = "first"
    decimal: Annotated[
        Literal[".", ","] | None,
        _setting(
            DATA, "Decimal sign of numbers, . or ,", unless="as the file shows", identity=True
        ),
    ] = None
    kind: Annotated[
        Literal["image", "sequence"] | None,
        _setting(
            DATA,
            "What an array of numbers holds if it may be both: image (n, height, width) or sequence"
            " (n, time, features).",
            unless="as the array shows",
            identity=True,
        ),
    ] = None
    skip_unreadable: Annotated[
        bool, _setting(DATA, "Leave out pictures that cannot be read.", identity=True)
    ] = False
    trials: Annotated[
        int,
        Field(ge=1, le=100_000),
        _setting(HOW_MUCH, "Total number of trials, including baselines and earlier trials."),
    ] = 20
    split: Annotated[
        str | None,
        _setting(
            HOW_JUDGED,
            "How samples are cut into folds: stratified, kfold, group, stratified-group, time"
            " (training before validation), given (by a column), or repeated:R (R times"
            " stratified, anew each time).",
            unless="stratified; stratified-group with groups, time with a time, given with given"
            " folds",
            identity=True,
        ),
    ] = None
    gap: Annotated[
        int,
        Field(ge=0),
        _setting(
            HOW_JUDGED,
            "Samples, not seconds, left out between training and validation part of --split time,"
            " at least.",
            identity=True,
        ),
    ] = 0
    folds: Annotated[
        int,
        Field(ge=1, le=MAX_FOLDS),
        _setting(
            HOW_MUCH,
            "Folds of a trial, 1..20; 1 is a single hold-out split. With --split repeated:R, of"
            " each repetition.",
            identity=True,
        ),
    ] = 5
    epochs: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None,
        _setting(HOW_MUCH, "Epochs of a fold.", unless="the space's own, else 10", identity=True),
    ] = None
    timeout: Annotated[
        Annotated[float, BeforeValidator(seconds), Field(gt=0)] | None,
        _setting(HOW_MUCH, "End this session after this time: 90s, 15m, 2h.", unless="no limit"),
    ] = None
    stop: Annotated[
        Literal["none", "auto"],
        _setting(
            HOW_MUCH,
            "End before --trials once more trials would gain less than the folds can tell (auto).",
        ),
    ] = "none"
    confirm: Annotated[
        int | Literal["auto"],
        BeforeValidator(confirmed_trials),
        _setting(
            HOW_MUCH,
            "Evaluate the best N, and the best baseline, on twice as many confirmation folds, which"
            " then decide; 0 for none; auto: those that the folds cannot tell from the best, on as"
            " many folds, where data are small and it costs at most half the search.",
        ),
    ] = "auto"
    retry_failed: Annotated[
        bool,
        _setting(HOW_MUCH, "Try trials that have failed once more; their finished folds are kept."),
    ] = False
    driver: Annotated[
        str,
        _setting(
            HOW_JUDGED,
            "Library that proposes params: optuna or keras-tuner; fixed for none: the baselines"
            " alone, or a whole grid.",
            identity=True,
        ),
    ] = "optuna"
    sampler: Annotated[
        str | None,
        BeforeValidator(sampler_reference),
        _setting(
            HOW_JUDGED,
            "Algorithm of the driver: "
            + "; ".join(f"{name}'s {', '.join(known)}" for name, known in DRIVERS.items())
            + "; or any sampler of Optuna's: package.module:CLASS or FILE.py:CLASS (runs that"
            " code).",
            unless="; ".join(f"{default_sampler(name)} for {name}" for name in DRIVERS),
            identity=True,
        ),
    ] = None
    sampler_args: Annotated[
        dict[str, Any],
        BeforeValidator(json_mapping),
        Field(default_factory=dict),
        _setting(
            HOW_JUDGED,
            "Arguments of a sampler that is given by its class, as JSON:"
            " '{\"n_startup_trials\": 5}'.",
            identity=True,
        ),
    ]
    learn_from: Annotated[
        tuple[str, ...],
        BeforeValidator(column_list),
        Field(min_length=1),
        _setting(
            HOW_JUDGED,
            "Earlier studies of the space, on any data, whose settings are tried first: auto (the"
            " finished ones in the home), none, shipped (this project's recordings), or names:"
            " a,b.",
            unless="auto",
            identity=True,
        ),
    ] = AUTO_LEARNING
    objective: Annotated[
        str | None,
        _setting(
            HOW_JUDGED,
            "What to optimise: cv_NAME of any metric, such as cv_accuracy, cv_loss, cv_roc_auc,"
            " cv_recall@CLASS or cv_rmse; macro_f1; val_NAME of a metric that the models are"
            " compiled with; FILE.py:FUNCTION; or two, such as cv_accuracy,model_parameters or"
            " cv_accuracy,latency_ms (Optuna only; nothing is pruned then).",
            unless="cv_accuracy of classes, cv_macro_f1 of labels, cv_rmse of numbers",
            identity=True,
        ),
    ] = None
    metrics: Annotated[
        tuple[str, ...],
        BeforeValidator(column_list),
        _setting(
            HOW_JUDGED,
            "Metrics to record for every trial besides: a,b.",
            unless="the task's own",
            identity=True,
        ),
    ] = ()
    target_scaling: Annotated[
        Literal["auto", "off"],
        _setting(
            HOW_JUDGED,
            "Numbers to predict: train on standardised ones where that does no harm (auto), or as"
            " they are (off). Scores and exports are in their own unit.",
            identity=True,
        ),
    ] = "auto"
    threshold: Annotated[
        Literal["0.5", "tuned"],
        BeforeValidator(as_text),
        _setting(
            HOW_JUDGED,
            "Probability above which the second of two classes, or a label, is predicted: 0.5, or"
            " tuned, on training parts, by the objective.",
            identity=True,
        ),
    ] = "0.5"
    pruner: Annotated[
        str | None,
        _setting(
            HOW_JUDGED,
            f"How weak trials are pruned: {', '.join(PRUNERS)}.",
            unless="racing, none for two objectives",
            identity=True,
        ),
    ] = None
    seed: Annotated[
        int,
        Field(ge=0, le=2**32 - 1),
        _setting(HOW_JUDGED, "Seed of folds, proposals and initial weights.", identity=True),
    ] = 0
    executor: Annotated[
        str,
        _setting(HOW_COMPUTED, "local (worker processes), inline, or ray (a cluster)."),
    ] = "local"
    workers: Annotated[
        int | Literal["auto"],
        BeforeValidator(worker_count),
        _setting(
            HOW_COMPUTED,
            "Worker processes that train in parallel. Only with one are results the same to the"
            " last bit.",
            unless="auto, the fastest on this machine",
        ),
    ] = "auto"
    trial_timeout: Annotated[
        Annotated[float, BeforeValidator(seconds), Field(gt=0)] | None,
        _setting(HOW_MUCH, "Fail a trial that trains for longer: 10m, 1h.", unless="no limit"),
    ] = None
    worker_memory: Annotated[
        Annotated[int, BeforeValidator(memory), Field(ge=LEAST_MEMORY)] | None,
        _setting(
            HOW_COMPUTED,
            "Replace a worker that uses more memory after a fold: 3GB, 800MB.",
            unless="its share of 80 % of the memory",
        ),
    ] = None
    precision: Annotated[
        Literal["auto", "float32", "mixed_bfloat16"],
        _setting(
            HOW_COMPUTED,
            "float32, mixed_bfloat16, or auto: bfloat16 if it is faster and scores the same within"
            " noise.",
            unless="auto, or the study's own",
            identity=True,
        ),
    ] = "auto"
    ray_address: Annotated[
        str | None,
        _setting(
            HOW_COMPUTED,
            "auto, HOST:PORT or ray://HOST:PORT of a Ray cluster.",
            unless="this machine",
        ),
    ] = None
    cpus_per_trial: Annotated[
        int,
        Field(ge=1, le=1024),
        _setting(HOW_COMPUTED, "Processors of a cluster for each trial, and threads."),
    ] = 1
    gpus_per_trial: Annotated[
        float,
        Field(ge=0, le=1),
        _setting(HOW_COMPUTED, "Fraction of a cluster's GPU for each trial, up to 1."),
    ] = 0.0
    study: Annotated[
        str | None, _setting(WHERE_KEPT, "Name of the study.", unless="SPACE-DATASET")
    ] = None
    system_metrics: Annotated[
        bool,
        _setting(
            WHERE_KEPT,
            "Log this machine's load (processors, memory, disk, network, GPUs) to the study's run"
            " in MLflow.",
        ),
    ] = False

    @field_validator("space")
    @classmethod
    def _space_known(cls, value: str) -> str:
        if ":" not in value and value not in space_names():
            raise ValueError(f"no space is called {value!r}; {near_matches(value, space_names())}")
        return absolute(value)

    @field_validator("dataset")
    @classmethod
    def _dataset_absolute(cls, value: str | None) -> str | None:
        return None if value is None else absolute_dataset(value)

    @field_validator("split")
    @classmethod
    def _split_known(cls, value: str | None) -> str | None:
        if value is not None:
            Split.parse(value)
        return value

    @field_validator("driver")
    @classmethod
    def _driver_known(cls, value: str) -> str:
        return _known("driver", value, DRIVERS)

    @field_validator("learn_from")
    @classmethod
    def _learn_from_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        words = {*AUTO_LEARNING, *NO_LEARNING, *SHIPPED_LEARNING} & set(value)
        if len(set(value)) < len(value) or (words and len(value) > 1):
            raise ValueError(
                "must be auto, none, shipped, or different studies separated by commas"
            )
        return value

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives_joined(cls, value: object) -> object:
        is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return ",".join(value) if is_list and isinstance(value, list) else value

    @field_validator("objective")
    @classmethod
    def _objectives_few(cls, value: str | None, info: Any) -> str | None:
        if value is None:
            return None
        names = objective_names(value)
        if len(names) > 2 or len(set(names)) < len(names) or "" in names:
            raise ValueError("must be one objective, or two different ones separated by a comma")
        if len(names) > 1 and info.data.get("stop") == AUTO:
            raise ValueError(
                "must be one with `--stop auto`, as one number has to tell what more trials would"
                " gain"
            )
        first = OBJECTIVES.get(names[0])
        if first is not None and not first.fold:
            scores = ", ".join(name for name, known in OBJECTIVES.items() if known.fold)
            raise ValueError(f"must begin with a score, such as {scores}")
        return ",".join(names)

    @field_validator("pruner")
    @classmethod
    def _pruner_known(cls, value: str, info: Any) -> str:
        if "," in (info.data.get("objective") or "") and value != "none":
            raise ValueError(
                "must be none, or left out, with two objectives, because one of them alone cannot"
                " tell which trials are weak"
            )
        return _known("pruner", value, PRUNERS)

    @field_validator("executor")
    @classmethod
    def _executor_known(cls, value: str) -> str:
        needed = missing_for(_known("executor", value, EXECUTORS))
        if needed:
            raise ValueError(f"needs a package that is missing here; install it with `{needed}`")
        return value

    @field_validator("ray_address", "cpus_per_trial", "gpus_per_trial")
    @classmethod
    def _of_ray(cls, value: str | float | None, info: Any) -> str | float | None:
        default = cls.model_fields[info.field_name].default
        if info.data.get("executor", "ray") != "ray" and value != default:
            raise ValueError("needs a cluster; add `--executor ray`")
        return value

    @field_validator("workers", "trial_timeout")
    @classmethod
    def _supervised(cls, value: float | None, info: Any) -> float | None:
        if info.data.get("executor") == "inline" and value not in (1, None, AUTO):
            raise ValueError("needs worker processes; leave out `--executor inline`")
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("pruner") is None:
            objective = values.get("objective") or ""
            several = len(objective) > 1 if isinstance(objective, list) else "," in str(objective)
            values = {**values, "pruner": "none" if several else next(iter(PRUNERS))}
        driver = values.get("driver") or "optuna"
        if isinstance(driver, str) and driver in DRIVERS and values.get("sampler") is None:
            values = {**values, "sampler": default_sampler(driver)}
        return values

    @field_validator("sampler")
    @classmethod
    def _sampler_known(cls, value: str | None, info: Any) -> str | None:
        driver = info.data.get("driver")
        if driver is None or value is None:  # the unknown driver is already reported
            return value
        if is_reference(value):
            if driver != "optuna":
                raise ValueError(f"a class of samplers is Optuna's; {driver} has its own")
            return absolute(value)
        if value not in DRIVERS[driver]:
            hint = sampler_hint(driver, value)
            raise ValueError(f"no sampler of {driver} is called {value!r}; {hint}")
        if value == "grid" and info.data.get("stop") == AUTO:
            raise ValueError(
                "goes through all params in order, so that the trials so far do not tell what more"
                " of them would gain; leave out `--stop auto`, or choose a sampler that draws"
            )
        return value

    @field_validator("sampler_args")
    @classmethod
    def _of_own_sampler(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        sampler = info.data.get("sampler")
        if value and sampler is not None and not is_reference(sampler):
            raise ValueError(
                "is for a sampler that is given by its class, such as"
                " `--sampler optuna.samplers:TPESampler`"
            )
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield those that were given, for `repr`."""
        yield from (
            (n, getattr(self, n)) for n in type(self).model_fields if n in self.model_fields_set
        )

    def identity(self) -> dict[str, Any]:
        """Return the settings that make two studies different studies."""
        return {name: getattr(self, name) for name in IDENTITY}


def told_of(name: str) -> tuple[str, str]:
    """Return the group of a setting and its help, with the default."""
    field = StudySettings.model_fields[name]
    extra: Any = field.json_schema_extra
    unless = extra["unless"]
    if not unless and not isinstance(field.default, bool) and field.default_factory is None:
        unless = "" if field.is_required() else f"{field.default}"
    help_text = f"{field.description} [default: {unless}]" if unless else field.description
    return extra["group"], str(help_text)


IDENTITY = tuple(
    name
    for name, field in StudySettings.model_fields.items()
    if cast(dict[str, Any], field.json_schema_extra)["identity"]
)

StudySettings.__doc__ = f"{StudySettings.__doc__}\n\nAttributes:\n" + "\n".join(
    f"    {name}: {told_of(name)[1]}" for name in StudySettings.model_fields
)


def validate(values: Mapping[str, Any]) -> StudySettings:
    """Return the settings in `values`; names they leave out take their defaults.

    Raises:
        SettingsError: every fault, one a line: the option, its rule and the value received.
    """
    try:
        return StudySettings(**dict(values))
    except ValidationError as error:
        raise SettingsError("\n".join(_fault(entry) for entry in error.errors())) from error


def _known(what: str, value: str, known: Any) -> str:
    if value not in known:
        raise ValueError(f"no {what} is called {value!r}; {near_matches(value, known)}")
    return value


# What pydantic says, and how all other rules are said.
_WORDS = {
    "input should ": "must ",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
_RULES = {"int_parsing": "must be a whole number", "float_parsing": "must be a number"}


def _fault(entry: Any) -> str:
    name = str(entry["loc"][0]) if entry["loc"] else "settings"
    option = "--" + name.replace("_", "-")
    if entry["type"] == "missing":
        named = f"; known: {', '.join(space_names())}" if name == "space" else ""
        return f"`{option}` is needed{named}"
    if entry["type"] == "extra_forbidden":
        return f"`{name}` is no setting; {near_matches(name, StudySettings.model_fields)}"
    message = entry["msg"].removeprefix("Value error, ")
    if entry["type"] == "value_error" and "called" in message:
        return f"`{option}`: {message}"
    rule = _RULES.get(entry["type"], message[0].lower() + message[1:])
    for theirs, ours in _WORDS.items():
        rule = rule.replace(theirs, ours)
    is_bound = entry["type"].endswith(("_than", "_than_equal"))  # of a number, if it is in a text
    got = str(entry["input"]) if is_bound else repr(entry["input"])
    return f"`{option}`: {rule}; got {got}"
