"""A study in a storage of Optuna, for `optuna.load_study`, its plots and optuna-dashboard.

It is made from the journal alone and is not what the study goes on from. A trial keeps its number.
Exporting again brings the study there up to date: it is written anew, as long as nobody else has
written to it.
"""

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from search.errors import SettingsError
from spaces import value_text
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.records import Json
from tracking.secrets import secrets_in, shown_address, without_secrets
from tracking.text import joined

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

STUDY_ID, TRIAL = "foldwise_study", "foldwise_trial"  # attributes by which our own are known
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}  # others: RUNNING
_RANGE = re.compile(r"([-+.\de]+)\.\.([-+.\de]+)( log)?(?: step ([-+.\de]+))?", re.IGNORECASE)
_PLAIN = (bool, int, float, str, type(None))  # what Optuna stores of a category
_TABLES = {"studies", "trials", "version_info"}  # of Optuna
_OF_OPTUNA = "study:"  # how Optuna's own notes on a study begin


@dataclass(frozen=True)
class InOptuna:
    """A study as it was written to a storage.

    Attributes:
        study: the study there.
        storage: its address, fit to be printed.
        states: how many trials there are in each of Optuna's states, in lower case.
        is_update: whether the study was there before.
    """

    study: "Study"
    storage: str
    states: dict[str, int]
    is_update: bool


def to_optuna(history: History, address: str) -> InOptuna:
    """Write a study to a storage of Optuna, in place of what was exported of it before.

    Args:
        history: of the study.
        address: of a database, as Optuna takes it: `sqlite:///FILE`, `postgresql://...`.

    Raises:
        SettingsError: the address is of no database, the database is of another program, or its
            study of that name has something that was not exported from this one.
    """
    import optuna

    started, shown = history.known_study(), shown_address(address)
    trials = _trials(history)
    with _reported(address, shown):
        storage = _opened(address, shown)
        is_update = _remove_older(storage, started.study, started.id, shown)
        study = optuna.create_study(
            storage=storage,
            study_name=started.study,
            directions=["maximize" if o.larger else "minimize" for o in history.objectives],
        )
        study.set_user_attr(STUDY_ID, started.id)  # first, so that half of a study is known as ours
        for name, value in _about(history).items():
            study.set_user_attr(name, value)
        study.set_metric_names([objective.name for objective in history.objectives])
        study.add_trials(trials)
    states = Counter(trial.state.name.lower() for trial in trials)
    return InOptuna(study, shown, dict(states), is_update)


@contextmanager
def _reported(address: str, shown: str) -> Iterator[None]:
    """Tell what Optuna, SQLAlchemy or a database's driver raise as a fault of the address."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except SettingsError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        why = without_secrets(said[0], secrets_in(address))
        raise SettingsError(f"`--to-optuna` {shown} cannot be written: {why}") from error
    finally:
        optuna.logging.set_verbosity(before)


def _opened(address: str, shown: str) -> "RDBStorage":
    """Open a database, whose tables are made if it has none.

    Raises:
        SettingsError: it is of another program, such as MLflow: both keep their version in tables
            of the same name.
    """
    if "://" not in address:
        path = Path(address).as_posix()
        raise SettingsError(
            f"`--to-optuna` must be the address of a database; got {shown}. For a file:"
            f" sqlite:///{path}"
        )
    from optuna.storages import RDBStorage
    from sqlalchemy import create_engine, inspect

    if not _is_new_file(address):
        engine = create_engine(address)
        tables = set(inspect(engine).get_table_names())
        engine.dispose()
        if tables and not tables >= _TABLES:
            raise SettingsError(
                f"`--to-optuna` {shown} must be a database of Optuna's own; it has another"
                f" program's tables ({joined(sorted(tables)[:3])}). Name another one"
            )
    return RDBStorage(address)


def lasts(address: str) -> bool:
    """Say whether a database is there after this process: SQLite's in memory is not."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # `to_optuna` says what is wrong with it
        return True
    if url.get_backend_name() != "sqlite":
        return True
    return (url.database or ":memory:") != ":memory:" and url.query.get("mode") != "memory"


def _is_new_file(address: str) -> bool:
    is_file = address.startswith("sqlite:///")
    return is_file and not Path(address.removeprefix("sqlite:///").partition("?")[0]).exists()


def _remove_older(storage: "RDBStorage", name: str, study_id: str, shown: str) -> bool:
    """Delete what was exported of the study before; say whether there was something.

    Raises:
        SettingsError: it has what was not exported from this study, which would be lost.
    """
    import optuna

    if name not in optuna.get_all_study_names(storage):
        return False
    older = optuna.load_study(study_name=name, storage=storage, sampler=None)
    there = _foreign(older, storage, study_id)
    if there:
        raise SettingsError(
            f"`--to-optuna`: {shown} has a study {name!r} with {there}, which would be lost. Name"
            " another database, or delete that study with `optuna delete-study`"
        )
    optuna.delete_study(study_name=name, storage=storage)
    return True


def _foreign(older: "Study", storage: "RDBStorage", study_id: str) -> str:
    """Return what a study has that was not exported from the one of the id; empty for nothing."""
    if older.user_attrs.get(STUDY_ID) != study_id:
        return "trials of another search"
    if any(TRIAL not in trial.user_attrs for trial in older.get_trials(deepcopy=False)):
        return "trials that were run in Optuna"
    notes = storage.get_study_system_attrs(older._study_id)
    if any(not name.startswith(_OF_OPTUNA) for name in notes):
        return "notes of the dashboard"
    return ""


def _about(history: History) -> Json:
    """Return what Optuna has no place for, as attributes of a study."""
    study = history.known_study()
    settings = study.settings
    return {
        "space": study.space,
        "dataset": study.dataset["name"],
        "samples": study.dataset.get("samples"),
        "folds": study.folds,
        "epochs": settings.get("epochs"),
        "seed": settings.get("seed"),
        "proposed_by": study.proposer,
        "fixed": {
            entry["name"]: entry.get("default", entry.get("range"))
            for entry in study.parameters
            if not entry["searched"]
        },
        "how_to_read": _how_to_read(history),
    }


def _how_to_read(history: History) -> str:
    first, folds = history.objectives[0], history.known_study().folds
    text = (
        f"A value is a score over all {folds} folds of a trial; `fold_scores` has each fold's"
        f" {first.fold or 'score'}."
    )
    if len(history.objectives) > 1:
        return text
    steps = (
        f"{first.epoch} after each epoch, the mean over the folds that trained it"
        if first.epoch
        else f"{first.name} over the first folds, after each fold"
    )
    return (
        f"{text} Intermediate values are {steps}. A pruned trial has no score; its value is the"
        " last intermediate one, after fewer folds or epochs, and does not compare with others."
    )


# Trials.


def _trials(history: History) -> list["FrozenTrial"]:
    from optuna.trial import FrozenTrial, TrialState, create_trial

    distributions = _distributions(history)
    found: list[FrozenTrial] = []
    for number, trial in sorted(history.trials.items()):
        while len(found) < number:  # of a damaged journal: so that others keep their numbers
            found.append(create_trial(state=TrialState.FAIL, user_attrs={TRIAL: len(found)}))
        steps = _steps(trial, history.objectives)
        state, values = _outcome(trial, history.objectives, steps)
        params = trial.started.parameters
        used = {name: param for name, param in distributions.items() if name in params}
        made = create_trial(
            state=TrialState[state],
            values=values,
            params={name: param.stored(params[name]) for name, param in used.items()},
            distributions={name: param.distribution for name, param in used.items()},
            user_attrs=_attributes(trial, history),
            intermediate_values=steps,
        )
        made.datetime_start = datetime.fromtimestamp(trial.started.at)  # as Optuna's
        if trial.ended is not None:
            made.datetime_complete = datetime.fromtimestamp(trial.ended.at)
        found.append(made)
    return found


def _outcome(
    trial: TrialHistory, objectives: Sequence[Objective], steps: Mapping[int, float]
) -> tuple[str, list[float] | None]:
    """Return a trial's state in Optuna, and its values."""
    state = _STATES.get(trial.state, "RUNNING")
    if state == "COMPLETE":
        scores = [trial.score(objective.name) for objective in objectives]
        values = [score for score in scores if score is not None and not math.isnan(score)]
        return (state, values) if len(values) == len(scores) else ("FAIL", None)
    if state == "PRUNED" and steps:
        return state, [steps[max(steps)]]  # as Optuna does
    return state, None


def _steps(trial: TrialHistory, objectives: Sequence[Objective]) -> dict[int, float]:
    """Return the intermediate values: by epoch, or by fold where epochs have none.

    There are none with several objectives, as in Optuna.
    """
    if len(objectives) > 1:
        return {}
    first = objectives[0]
    curve = {n: row.get(first.epoch) for n, row in enumerate(trial.mean_curves(), start=1)}
    shown = {epoch: value for epoch, value in curve.items() if value is not None}
    if shown or not first.fold:
        return shown
    values = [fold.metric(first.fold) for fold in trial.finished_folds().values()]
    known = [value for value in values if value is not None]
    return {n: fmean(known[:n]) for n in range(1, len(known) + 1)}


def _attributes(trial: TrialHistory, history: History) -> Json:
    first, ended = history.objectives[0], trial.ended
    names = {objective.name for objective in history.objectives}
    found: Json = {TRIAL: trial.number, "origin": trial.started.origin}
    folds = trial.finished_folds()
    if folds and first.fold:
        found["fold_scores"] = {str(n): fold.metric(first.fold) for n, fold in folds.items()}
    if ended is not None:
        found |= {name: score for name, score in ended.scores.items() if name not in names}
        found |= {
            "train_seconds": round(ended.train_seconds, 3),
            "epochs_trained": ended.epochs_trained,
            "model_parameters": ended.model_parameters or None,
            "reason": ended.reason or None,
        }
    if trial.confirmed is not None:
        found |= {f"confirmed_{name}": score for name, score in trial.confirmed.scores.items()}
    if trial.started.proposed_by:
        found["proposed_by"] = trial.started.proposed_by
    if trial.params != trial.started.parameters:
        found["trained_with"] = {
            name: value
            for name, value in trial.params.items()
            if trial.started.parameters.get(name) != value
        }
    return {name: value for name, value in found.items() if value is not None}


# Params.


@dataclass(frozen=True)
class _Param:
    """How a parameter's values stand in Optuna: as they are, or as text."""

    distribution: "BaseDistribution"
    stored: Callable[[Any], Any]


def _distributions(history: History) -> dict[str, _Param]:
    """Return the parameters that are searched, and those in which trials differ nevertheless."""
    trials = [trial.started.parameters for _, trial in sorted(history.trials.items())]
    found = {}
    for entry in history.known_study().parameters:
        name = entry["name"]
        values = list({repr(t[name]): t[name] for t in trials if name in t}.values())
        if entry["searched"] or len(values) > 1:
            found[name] = _param(entry, values)
    return found


def _param(entry: Json, values: Sequence[Any]) -> _Param:
    kind = entry.get("kind")
    if kind in ("int", "float") and all(type(value) in (int, float) for value in values):
        return _number(str(entry.get("range", "")), values, is_whole=kind == "int")
    declared = [False, True] if kind == "boolean" else [*map(_tupled, entry.get("values") or ())]
    known = {repr(value): value for value in (*declared, *values)}
    choices = list(known.values())
    from optuna.distributions import CategoricalDistribution

    # To Optuna 0, False and 0.0 are the same, and there are no tuples.
    is_plain = all(isinstance(value, _PLAIN) for value in choices)
    if is_plain and all(choices.index(value) == n for n, value in enumerate(choices)):
        return _Param(CategoricalDistribution(choices), lambda value: value)
    return _Param(CategoricalDistribution([value_text(value) for value in choices]), value_text)


def _number(text: str, values: Sequence[Any], *, is_whole: bool) -> _Param:
    """Return the range of a number that has all of some values.

    The journal has bounds with six digits, so that a value may be just outside.
    """
    from optuna.distributions import FloatDistribution, IntDistribution

    found = _RANGE.fullmatch(text.strip())
    kind: Any = int if is_whole else float
    bounds = [kind(float(bound)) for bound in found.groups()[:2]] if found else []
    numbers = [kind(value) for value in (*bounds, *values)] or [kind(0)]
    low, high = min(numbers), max(numbers)
    log = bool(found and found[3]) and low > 0
    step = kind(float(found[4])) if found and found[4] else None
    if step is not None:
        places = [(value - low) / step for value in numbers[len(bounds) :]]
        if all(math.isclose(place, round(place), abs_tol=1e-6) for place in places):
            high = kind(round(low + math.floor((high - low) / step + 1e-6) * step, 12))
        else:
            step = None
    if is_whole:
        return _Param(IntDistribution(low, high, log=log, step=step or 1), int)
    return _Param(FloatDistribution(low, high, log=log, step=step), float)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
