"""Compare a study's journal with MLflow, and repair what `doctor` found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.doctor.home import NOTICE, OK, PROBLEM, Finding, Place
from search.doctor.study import is_needed, unfinished_text, unusable_predictions
from tracking.history import History
from tracking.home import StudyFolder
from tracking.journal import JournalError
from tracking.lock import StudyLock, StudyLocked
from tracking.mlflow.calls import reason
from tracking.mlflow.delivery import Offset, address_key
from tracking.mlflow.mapping import STATUS
from tracking.repair import Examined, Repair, examine, repair
from tracking.secrets import place_of
from tracking.text import Notify, counted, listed

if TYPE_CHECKING:
    from tracking.mlflow.store import TrialRun


@dataclass
class Books:
    """Compares journals with one MLflow store; after a failure MLflow is not asked again.

    Attributes:
        place: the home and its MLflow store.
        failure: why MLflow cannot be read; empty while it can.
    """

    place: Place
    failure: str = ""

    def findings(
        self, name: str, folder: StudyFolder, found: Examined, *, is_running: bool
    ) -> Iterator[Finding]:
        """Compare one study's journal with its runs in MLflow."""
        history, tracker = found.history, self.place.tracker
        if history.study is None or found.foreign or found.needs_repair:
            return
        key = address_key(place_of(tracker.uri))
        offset = Offset.load(folder.shipped, key)
        waiting = untold(folder, found, offset.position)
        yield from self._shipped(name, offset, waiting, is_running=is_running)
        if is_running:
            return
        runs = self._runs(history)
        if runs is not None and not waiting:  # waiting records cannot be in MLflow yet
            yield from self._compared(name, history, runs)

    def _shipped(
        self, name: str, offset: Offset, waiting: int, *, is_running: bool
    ) -> Iterator[Finding]:
        where, sync = self.place.tracker.shown_uri, self.place.command("sync", tracked=True)
        if waiting and not is_running:
            text = f"{counted(waiting, 'record')} still to reach MLflow at {where}"
            yield Finding("shipped", NOTICE, text, name, sync)
        elif waiting:
            text = f"{counted(waiting, 'record')} on the way to MLflow at {where}"
            yield Finding("shipped", OK, text, name)
        else:
            yield Finding("shipped", OK, "every record is in MLflow", name)
        if offset.refused:
            text = f"MLflow at {where} refused {counted(offset.refused, 'record')}; try once more"
            yield Finding("shipped", NOTICE, text, name, sync)

    def _runs(self, history: History) -> "list[TrialRun] | None":
        """Return MLflow's runs of a study; None if MLflow cannot be read."""
        tracker = self.place.tracker
        if self.failure:
            return None
        if tracker.is_local and not self.place.home.database.exists():
            return []  # reading would create it
        try:
            return tracker.trial_runs(history.known_study().id) or []
        except Exception as error:  # noqa: BLE001 - MLflow raises whatever its libraries raise
            self.failure = reason(error)
            return None

    def _compared(
        self, name: str, history: History, runs: Sequence["TrialRun"]
    ) -> Iterator[Finding]:
        faults = differences(history, runs)
        if faults:
            text = f"MLflow differs from the journal: {'; '.join(faults)}. Publish everything again"
            command = self.place.command("doctor", name, "--repair", tracked=True)
            yield Finding("mlflow", PROBLEM, text, name, command)
        else:
            text = f"MLflow agrees with the journal on {counted(len(history.trials), 'trial')}"
            yield Finding("mlflow", OK, text, name)
        unknown = sorted({run.number for run in runs} - set(history.trials))
        if unknown:
            text = f"MLflow has runs of trials that the journal lacks: trial {listed(unknown)}"
            yield Finding("mlflow", NOTICE, text, name)

    def unreachable(self) -> Iterator[Finding]:
        """Yield one finding if MLflow could not be read."""
        if self.failure:
            text = (
                f"MLflow at {self.place.tracker.shown_uri} cannot be read ({self.failure});"
                " journals were not compared with it"
            )
            if not self.place.tracker.is_local:
                yield Finding("mlflow", NOTICE, text)
                return
            database = self.place.home.database
            text += f". Move {database} away; it is then rebuilt from the journals"
            command = self.place.command("doctor", "--repair", tracked=True)
            yield Finding("mlflow", PROBLEM, text, command=command)


def untold(folder: StudyFolder, found: Examined, offset: int) -> int:
    """Return how many lines of a journal end after `offset` bytes, without its damaged end.

    All lines count if the journal is shorter than `offset`: then it is another journal.
    """
    ends = [fault.position for fault in found.faults if fault.is_end]
    size = min([folder.journal.stat().st_size, *ends])
    with folder.journal.open("rb") as file:
        file.seek(start := offset if offset <= size else 0)
        left, count = size - start, 0
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            left, count = left - len(block), count + block.count(b"\n")
    return count


def differences(history: History, runs: Sequence["TrialRun"]) -> list[str]:
    """Return how MLflow's runs differ from the trials, a phrase for each kind of difference."""
    by_number: dict[int, list[TrialRun]] = {}
    for run in runs:
        by_number.setdefault(run.number, []).append(run)
    missing = [n for n in sorted(history.trials) if n not in by_number]
    doubled = [n for n, same in sorted(by_number.items()) if len(same) > 1]
    stuck, wrong = [], []
    for number, same in sorted(by_number.items()):
        trial = history.trials.get(number)
        if trial is None:
            continue
        run = same[0]
        if trial.ended is None:
            if run.state in STATUS:
                wrong.append(f"{number} is {run.state} in MLflow, unfinished in the journal")
            elif run.status == "RUNNING" and history.last_end is not None:
                stuck.append(number)
        elif run.status == "RUNNING":
            stuck.append(number)
        elif (run.state, run.status) != (trial.state, STATUS[trial.state]):
            wrong.append(
                f"{number} is {run.state or 'without a state'} in MLflow,"
                f" {trial.state} in the journal"
            )
    kinds = (
        ("missing: trial", missing),
        ("more than once: trial", doubled),
        ("still running in MLflow: trial", stuck),
        ("different outcome: trial", wrong),
    )
    return [f"{words} {listed(found)}" for words, found in kinds if found]


def repair_study(
    place: Place, name: str, folder: StudyFolder, books: Books, notify: Notify
) -> list[Finding]:
    """Repair one study where needed; return what was done, or why not.

    Args:
        place: the home and its MLflow store.
        name: the study's.
        folder: its files.
        books: compares it with MLflow.
        notify: takes notices while records are published to MLflow.
    """
    try:
        with StudyLock(folder.lock):
            return [*_journal(name, folder), *_books(place, name, folder, books, notify)]
    except StudyLocked as error:
        return [Finding("repair", PROBLEM, f"not repaired: {error}; wait for it to end", name)]
    except JournalError as error:
        return [Finding("repair", PROBLEM, f"not repaired: {error}", name)]


def _journal(name: str, folder: StudyFolder) -> list[Finding]:
    found = examine(folder.journal)
    again = _to_train_again(folder, found.history)
    if found.history.study is None and not found.needs_repair:
        return []  # nothing was ever recorded
    if not found.faults and not found.gaps and not again:
        return []
    done = repair(folder.journal, again=again)
    folder.shipped.unlink(missing_ok=True)  # its line numbers refer to the file before the repair
    return [Finding("repair", NOTICE, _told(done), name)]


def _to_train_again(folder: StudyFolder, history: History) -> frozenset[tuple[int, int]]:
    if history.study is None:
        return frozenset()
    lost = unusable_predictions(folder, history)
    return frozenset((n, fold) for n, fold in lost if is_needed(history.trials[n], fold))


def _told(done: Repair) -> str:
    found = done.found
    damaged = [f for f in found.faults if f.is_damaged] or found.faults
    lines = [f"line {f.number} ({f.record}: {f.reason})" for f in damaged]
    others = len(found.faults) - len(damaged)
    building = f", with {counted(others, 'record')} that depend on lost ones" if others else ""
    gaps = f" Missing for good: {listed(found.gaps)}." * bool(found.gaps)
    history = found.history
    vanished = sorted(_vanished(done))
    again = [*([f"trial {listed(vanished)}, from the start"] if vanished else [])]
    again += [unfinished] if (unfinished := unfinished_text(history)) else []
    return (
        f"repaired: {counted(len(found.faults), 'record')} lost, {found.records:,} kept."
        f" Left out: {listed(lines) or 'nothing'}{building}.{gaps}"
        f" To be trained or finished by the next `run`: {'; '.join(again) or 'nothing'}."
        f" Copy of the file before the repair: {done.copy.name}; the lines left out:"
        f" {done.aside.name}."
        " The next `run` or `sync` publishes everything to MLflow again"
    )


def _vanished(done: Repair) -> set[int]:
    known = done.found.history.trials
    named = {fault.trial for fault in done.found.faults if fault.trial is not None}
    gaps = set(range(max(known, default=-1) + 1))
    # A number from a damaged line is a guess: at most one trial can be lost at the end.
    return {n for n in named | gaps if n not in known and n <= max(known, default=-1) + 1}


def _books(
    place: Place, name: str, folder: StudyFolder, books: Books, notify: Notify
) -> list[Finding]:
    found = examine(folder.journal)
    findings = books.findings(name, folder, found, is_running=False)
    if all(finding.level != PROBLEM for finding in findings):
        return []
    folder.shipped.unlink(missing_ok=True)
    waiting = place.tracker.sync(folder, notify)
    if waiting:
        text = f"MLflow did not take {counted(waiting, 'record')} when all were published again"
        command = place.command("sync", tracked=True)
        return [Finding("repair", PROBLEM, text, name, command)]
    return [Finding("repair", NOTICE, "everything was published to MLflow again", name)]
