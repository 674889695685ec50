"""The trials to compare, chosen from studies by name and number."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.analysis.comparison.evidence import Evidence, rivals_of
from search.data.folds import share_of
from search.errors import FoldwiseError, SettingsError
from search.studies import known_study
from tracking.history import History, TrialHistory
from tracking.home import Home, StudyFolder
from tracking.records import StudyStarted
from tracking.text import shell

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
    chosen = tuple(
        Contender(name, _champion_of(name, history), folder) for name, folder, history in found
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
    trials = _numbered(name, history, numbers) if is_named else _usual(name, history)
    return tuple(
        Contender(
            _label(name, trial),
            Evidence(history, trial, 1 if is_named else rivals_of(history, trial)),
            folder,
            is_named,
        )
        for trial in trials
    )


def _champion_of(name: str, history: History) -> Evidence:
    """Return a study's best trial, which was chosen from all of its trials."""
    best = _best(name, history)
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


def _usual(name: str, history: History) -> list[TrialHistory]:
    """Return the best trial and those it is compared with by default: at least two trials."""
    best = _best(name, history)
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


def _best(name: str, history: History) -> TrialHistory:
    best = history.best()
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
