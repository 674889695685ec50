"""The trials to compare, chosen from studies by name and number, and by which metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from search.analysis.comparison.decision import with_decision
from search.analysis.comparison.evidence import Evidence, rivals_of
from search.analysis.measure import fold_value, metric_name, objective_name
from search.data.folds import share_of
from search.errors import FoldwiseError, SettingsError
from search.studies import known_study
from search.tasks import Task, task_of_study
from tracking.history import History, TrialHistory
from tracking.home import Home, StudyFolder
from tracking.lock import holder
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import StudyStarted
from tracking.text import joined, listed, shell

BEST = "best"
MOST = 12  # compared at once; more would make the pictures unreadable

_BASELINE = "baseline:"


class NothingToCompare(FoldwiseError):
    """A study without the complete trials that a comparison needs."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A complete trial that is compared with others.

    Attributes:
        label: its study's name; with several trials of the study also its number, or only the name
            of a baseline.
        evidence: its study's history, the trial, and from how many trials it was chosen.
        folder: its study's files.
        is_named: whether the user chose it by its number.
    """

    label: str
    evidence: Evidence
    folder: StudyFolder
    is_named: bool = False

    @property
    def trial(self) -> TrialHistory:
        """The trial."""
        return self.evidence.trial

    @property
    def start(self) -> StudyStarted:
        """The first record of its study."""
        return self.evidence.history.known_study()

    @property
    def task(self) -> Task:
        """What its study predicts."""
        return task_of_study(self.start)

    @property
    def recorded(self) -> set[str]:
        """Names of the metrics that all of its folds have."""
        trial = self.trial
        folds = [*trial.finished_folds().values(), *self.evidence.confirmed.values()]
        names = {name for fold in folds for name in ("loss", "accuracy", "macro_f1", *fold.metrics)}
        return {name for name in names if all(fold.metric(name) is not None for fold in folds)}

    @property
    def digests(self) -> tuple[str, str]:
        """Digests of dataset and folds; contenders with the same are compared fold by fold."""
        return str(self.start.dataset.get("digest")), self.start.folds_digest

    @property
    def test_share(self) -> float:
        """Number of validation samples per training sample."""
        return share_of(self.start)


def chosen_contenders(
    home: Home, studies: Sequence[str], trials: str = BEST
) -> tuple[Contender, ...]:
    """Return the trials to compare.

    Args:
        home: where the studies are.
        studies: their names. Of several studies, the best trial of each is taken. Of one study, its
            best trial and its complete baselines (and the best sampled trial if a baseline is
            best), or its best two trials if there is no baseline. If the best trial and a baseline
            were confirmed, unconfirmed baselines are left out.
        trials: `best`, or with one study the numbers of the trials to take, as in `0,3`; these
            count as chosen before their scores were seen.

    Raises:
        SettingsError: no such study or trial, a repeated name or number, too many of them, or
            studies on different datasets.
        NothingToCompare: too few trials are complete.
    """
    numbers = _numbers(trials)
    if len(set(studies)) < len(studies):
        raise SettingsError(
            f"each study must be named once; got {' '.join(studies)}. To compare trials of one"
            " study, name it and give `--trials 0,3`."
        )
    _check_count(max(len(studies), len(numbers)))
    if numbers and len(studies) > 1:
        raise SettingsError(
            f"`--trials {trials}` is for the trials of one study; got {len(studies)} studies."
            " Leave it out to compare the best of each."
        )
    found = [(name, *known_study(home, name)) for name in studies]
    if len(found) == 1:
        return _of_one(*found[0], numbers)
    return champions([(folder, history) for _, folder, history in found])


def champions(studies: Sequence[tuple[StudyFolder, History]]) -> tuple[Contender, ...]:
    """Return the best trial of each study.

    Raises:
        SettingsError: too many studies, or they are on different datasets.
        NothingToCompare: a study has no complete trial.
    """
    _check_count(len(studies))
    named = [(history.known_study().study, folder, history) for folder, history in studies]
    chosen = tuple(
        Contender(name, _champion_of(name, folder, history), folder)
        for name, folder, history in named
    )
    _check_dataset(chosen)
    return chosen


def _numbers(trials: str) -> list[int]:
    if trials.strip() == BEST:
        return []
    words = [word.strip() for word in trials.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words) or len(words) < 2:
        raise SettingsError(
            "`--trials` must be `best` or the numbers of two or more trials, separated by commas,"
            f" as in 0,3; got {trials!r}"
        )
    numbers = [int(word) for word in words]
    if len(set(numbers)) < len(numbers):
        raise SettingsError(f"`--trials` must name each trial once; got {trials}")
    return numbers


def _check_count(count: int) -> None:
    if count > MOST:
        raise SettingsError(f"at most {MOST} can be compared at once; got {count}. Name fewer.")


def _of_one(
    name: str, folder: StudyFolder, history: History, numbers: Sequence[int]
) -> tuple[Contender, ...]:
    is_named = bool(numbers)
    trials = _numbered(name, history, numbers) if is_named else _usual(name, folder, history)
    return tuple(
        Contender(
            _label(name, trial),
            Evidence(history, trial, 1 if is_named else rivals_of(history, trial)),
            folder,
            is_named,
        )
        for trial in trials
    )


def _champion_of(name: str, folder: StudyFolder, history: History) -> Evidence:
    """Return a study's best trial, which was chosen from all of its trials."""
    best = _best(name, folder, history)
    return Evidence(history, best, rivals_of(history, best, baselines=True))


def _label(name: str, trial: TrialHistory) -> str:
    origin = trial.started.origin
    is_baseline = origin.startswith(_BASELINE)
    return origin.removeprefix(_BASELINE) if is_baseline else f"{name} trial {trial.number}"


def _numbered(name: str, history: History, numbers: Sequence[int]) -> list[TrialHistory]:
    complete = {trial.number: trial for trial in history.completed()}
    for number in numbers:
        if number not in history.trials:
            raise SettingsError(
                f"`--trials` must be trials of study {name}, which has {len(history.trials)}, from"
                f" 0; got {number}. `{shell('show', name)}` lists them."
            )
        if number not in complete:
            raise SettingsError(
                "`--trials` must be complete trials, which have seen all folds; trial"
                f" {number} is {history.trials[number].state.shown}."
                f" Complete: {', '.join(map(str, sorted(complete))) or 'none'}."
            )
    return [complete[number] for number in numbers]


def _usual(name: str, folder: StudyFolder, history: History) -> list[TrialHistory]:
    """Return the best trial and those it is compared with by default: at least two trials."""
    best = _best(name, folder, history)
    others = [trial for trial in history.ranked() if trial is not best]
    baselines = [trial for trial in others if _is_baseline(trial)]
    confirmed = [trial for trial in baselines if Evidence(history, trial).confirmed]
    if Evidence(history, best).confirmed and confirmed:
        baselines = confirmed
    sampled = [trial for trial in others if not _is_baseline(trial)]
    if baselines and _is_baseline(best):
        chosen = [best, *sampled[:1], *baselines]
    else:
        chosen = [best, *(baselines or others[:1])]
    if len(chosen) < 2:
        raise NothingToCompare(
            f"two complete trials are needed; study {name} has one. Continue it with"
            f" `{_run_on(name)}`, or name another study, too."
        )
    return chosen[:MOST]


def _is_baseline(trial: TrialHistory) -> bool:
    return trial.started.origin.startswith(_BASELINE)


def _best(name: str, folder: StudyFolder, history: History) -> TrialHistory:
    best = with_decision(history).best()
    if best is None and holder(folder.lock) is not None:
        raise NothingToCompare(
            f"study {name} has no complete trial yet, so it has no scores to compare; it is"
            f" running, and `{shell('watch', name)}` follows it"
        )
    if best is None:
        raise NothingToCompare(
            f"study {name} has no complete trial yet, so it has no scores to compare; continue"
            f" it with `{_run_on(name)}`"
        )
    return best


def _run_on(name: str) -> str:
    return shell("run", "--study", name, "--trials", "N")


def _check_dataset(contenders: Sequence[Contender]) -> None:
    first = contenders[0]
    for other in contenders[1:]:
        if other.digests[0] != first.digests[0]:
            raise SettingsError(
                "studies must be on the same dataset to be compared;"
                f" {_placed(first)} and {_placed(other)}. Name studies of one dataset."
            )


def _placed(contender: Contender) -> str:
    data = contender.start.dataset
    return f"{contender.label} is on {data['name']} (digest {str(data.get('digest'))[:12]})"


def chosen_measure(contenders: Sequence[Contender], named: str = "") -> Objective:
    """Return the metric by which trials are compared, of which every fold has a value.

    Args:
        contenders: the trials.
        named: what the user gave as `--objective`; empty: the first objective that all studies
            have in common, else the task's own metric, else one that all of them recorded.

    Raises:
        SettingsError: they did not all record it, or nothing in common; or it is not known which
            way is better.
    """
    common = set.intersection(*(contender.recorded for contender in contenders))
    if named:
        chosen = _named(named, contenders)
        _check_recorded(chosen, contenders)
    else:
        found = [o for o in _in_order(contenders) if o.fold in common]
        if not found:
            raise SettingsError(
                "trials must have a metric in common to be compared, besides the loss, which is the"
                f" models' own; {joined([_told(c) for c in contenders])}. Search them with the same"
                " `--objective`, or compare them by `--objective loss` if their losses are alike."
            )
        chosen = found[0]
    _check_finite(chosen, contenders)
    return chosen


def other_measures(contenders: Sequence[Contender], chosen: Objective) -> tuple[Objective, ...]:
    """Return what else is told of trials: objectives and metrics that all of them recorded."""
    common = set.intersection(*(contender.recorded for contender in contenders))
    known: dict[str, Objective] = {}
    for objective in (*_in_order(contenders), _LOSS):
        known.setdefault(objective.fold, objective)
    found = [o for name, o in known.items() if name in common and name != chosen.fold]
    return tuple(sorted(found, key=lambda o: o.fold == "loss"))


_LOSS = OBJECTIVES["cv_loss"]


def _in_order(contenders: Sequence[Contender]) -> list[Objective]:
    """Return what studies may be compared by: a common first objective, the task's own, others."""
    several = [contender.evidence.history.objectives for contender in contenders]
    firsts = {(o.fold or o.name, o.larger): o for o, *_ in several}
    common = list(firsts.values()) if len(firsts) == 1 else []
    task = contenders[0].task
    own = [_objective(name, task) for name in (task.objective, *task.scored)]
    asked = [o for c in contenders for text in _metrics(c.start) for o in _known(text, c.task)]
    return [o for o in (*common, *own, *(o for each in several for o in each), *asked) if o.fold]


def _told(contender: Contender) -> str:
    return f"{contender.label} has {listed(sorted(contender.recorded - {'loss'})) or 'none'}"


def _objective(text: str, task: Task) -> Objective:
    from search.tasks.metrics import objective_of

    return objective_of(text, task)[0]


def _known(text: str, task: Task) -> list[Objective]:
    """Return the objective of a recorded text; none where it is no longer clear what is better."""
    try:
        return [_objective(text, task)]
    except SettingsError:
        return []


def _metrics(start: StudyStarted) -> list[str]:
    """Return what `--metrics` named, as `objective_of` reads it."""
    given = start.settings.get("metrics") or ()
    texts = given.split(",") if isinstance(given, str) else given
    return [str(text).strip() for text in texts]


def _named(text: str, contenders: Sequence[Contender]) -> Objective:
    for known in (*_in_order(contenders), _LOSS):
        if text in (known.name, known.fold, known.name.removeprefix("cv_")):
            return known
    found = _objective(text, contenders[0].task)
    if not found.fold:
        raise SettingsError(
            f"`--objective` must be a metric of which every fold has a value; {text} has none."
            f" There are {listed(sorted(contenders[0].recorded))}."
        )
    return found


def _check_recorded(chosen: Objective, contenders: Sequence[Contender]) -> None:
    for contender in contenders:
        if chosen.fold not in contender.recorded:
            raise SettingsError(
                f"`--objective` must be a metric that all trials recorded; {contender.label} has no"
                f" {metric_name(chosen.fold)}, but {listed(sorted(contender.recorded))}"
            )


def _check_finite(chosen: Objective, contenders: Sequence[Contender]) -> None:
    for contender in contenders:
        trial = contender.trial
        folds = {**trial.finished_folds(), **contender.evidence.confirmed}
        for number, fold in folds.items():
            value = fold_value(fold, chosen)
            if value is None or not isfinite(value):
                raise SettingsError(
                    f"trials must have finite values to be compared; {contender.label} has"
                    f" {objective_name(chosen)} {value} on fold {number}. Compare them by another"
                    " metric with `--objective`."
                )
