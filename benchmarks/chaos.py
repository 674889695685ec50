"""Kill a study's processes at chosen records and at random times, continue it, check the books.

Run: `python benchmarks/chaos.py --rounds 100` (about 25 minutes). Real studies on digits with
MLflow on SQLite, one or two workers, racing or not. In every round the study is started, or
continued, and one of these is ended with `kill -9`: the coordinator, a worker, the whole group of
processes. Moments take turns: just after a record of each kind has come, a random time into the
training, and a random time after the start, which on a busy machine is before the first record. A
study whose worker was killed must go on by itself to the end of another fold. After every kill of a
coordinator no process may be left, the journal must be readable, and every fold that was finished
before must still be there. After every few kills the study is run to its end and its journal is
compared with itself and with MLflow (`tests/faults/books.py`): no fold lost or trained twice, no
trial counted twice, no run stuck. The first fault ends the script with exit code 1. At the end
stands what was aimed at, and what the journal's last record was when the kill came.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.books import check_books  # noqa: E402 # the path comes first
from tests.faults.processes import Command, StudyRun  # noqa: E402

VICTIMS = ("coordinator", "worker", "group")
TRIALS = 12
RANDOM, START = "training", "start"
MOMENTS = (
    *("FoldStarted", "EpochEnded", "FoldEnded", RANDOM, "TrialStarted", "TrialEnded", RANDOM),
    *("SessionStarted", START),
)
MOST_RECORDS = 4  # of the kind that is waited for, in the same session
NOTHING = "nothing"


@dataclass
class Books:
    """What happened so far.

    Attributes:
        kills: by victim.
        moments: by what was aimed at, ` -> ` and the journal's last record when the kill came.
        missed: rounds in which the study was over before the moment came.
    """

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    studies: int = 0
    folds: int = 0
    repeated: int = 0
    trials: Counter[str] = field(default_factory=Counter)


class Fault(AssertionError):
    """Something was lost, doubled or left behind."""


def main() -> None:
    """Run the rounds and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="number of kills")
    parser.add_argument("--kills-per-study", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--longest", type=float, default=6.0, help="seconds until a kill at a random time"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos.json"))
    asked = parser.parse_args()
    source, books = random.Random(asked.seed), Books()  # noqa: S311 # no secret
    moments = cycle(MOMENTS)
    began = time.monotonic()
    while sum(books.kills.values()) < asked.rounds:
        left = asked.rounds - sum(books.kills.values())
        kills = [next(moments) for _ in range(min(asked.kills_per_study, left))]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            study = StudyRun(Path(folder) / "user")
            try:
                torment(study, source, books, kills, asked.longest)
            except AssertionError as fault:
                print(f"FAULT: {fault}", flush=True)
                sys.exit(1)
            finally:
                study.clean_up()
    report(books, time.monotonic() - began)
    asked.out.write_text(json.dumps(vars(books)) + "\n")


def torment(
    study: StudyRun, source: random.Random, books: Books, moments: Sequence[str], longest: float
) -> None:
    """Kill a new study at these moments, run it to its end and check its books."""
    pruner = source.choice(("racing", "none"))
    options = ("--workers", str(source.choice((1, 2))), "--pruner", pruner)
    for moment in moments:
        seen = len(study.records())
        command = study.start(*options, trials=TRIALS)
        if not wait_for(study, command, moment, seen, source, longest):
            books.missed += 1
            break
        victim = source.choice(VICTIMS)
        before, last = finished(study), last_kind(study, seen)
        if victim == "worker" and not kill_worker(command, source):
            victim = "coordinator"
        books.kills[victim] += 1
        books.moments[f"{moment} -> {last}"] += 1
        print(f"{sum(books.kills.values()):4}  {victim:12} {moment:15} {last}", flush=True)
        if victim == "worker":
            folds = len(finished(study))
            wait_until(command, lambda folds=folds: len(finished(study)) > folds)
            victim = source.choice(("coordinator", "group"))
        before |= finished(study)
        if command.process.poll() is None:
            (command.kill_group if victim == "group" else command.kill)()
        command.process.wait(timeout=30)
        if left := command.leftovers():
            raise Fault(f"processes left after the {victim} was killed: {left}")
        if lost := before - finished(study):
            raise Fault(f"folds lost: {sorted(lost)}")
    command = study.start(*options, trials=TRIALS)
    done = command.wait(timeout=600)
    if done.code != 0:
        raise Fault(f"the study did not end well ({done.code}): {done.err}")
    check_books(study.journal, study.uri, session=command.pid)
    take_stock(study, books)


def wait_for(
    study: StudyRun,
    command: Command,
    moment: str,
    seen: int,
    source: random.Random,
    longest: float,
) -> bool:
    """Wait for a moment of a session; tell whether it came before the session's end.

    Args:
        study: what is run.
        command: the session.
        moment: one of `MOMENTS`.
        seen: how many records the journal had when the session began.
        source: of chance.
        longest: seconds until a random time.
    """
    kind = {START: "", RANDOM: "FoldStarted"}.get(moment, moment)
    is_once = moment in (RANDOM, "SessionStarted")
    count = 1 if is_once else source.randint(1, MOST_RECORDS)

    def has_come() -> bool:
        return sum(record["kind"] == kind for record in study.records()[seen:]) >= count

    if kind and not wait_until(command, has_come):
        return False
    if moment in (START, RANDOM):
        time.sleep(source.uniform(0.0, longest))
    return command.process.poll() is None


def wait_until(command: Command, condition: Callable[[], object], patience: float = 300) -> bool:
    """Wait until something holds; tell whether it did before the command was over."""
    end = time.monotonic() + patience
    while not condition():
        if command.process.poll() is not None:
            return bool(condition())
        if time.monotonic() > end:
            raise Fault(f"it stood still for {patience:g} s: {command.err.read_text()}")
        time.sleep(0.005)
    return True


def kill_worker(command: Command, source: random.Random) -> bool:
    """Kill one of the workers; tell whether there was one."""
    workers = command.workers()
    if workers:
        source.choice(workers).kill()
    return bool(workers)


def finished(study: StudyRun) -> set[tuple[int, int]]:
    """Return the folds whose end is in the journal."""
    return {(record["trial"], record["fold"]) for record in study.records("FoldEnded")}


def last_kind(study: StudyRun, seen: int) -> str:
    """Return the kind of the last record of the session that began after so many records."""
    records = study.records()[seen:]
    return str(records[-1]["kind"]) if records else NOTHING


def take_stock(study: StudyRun, books: Books) -> None:
    """Add a finished study's numbers; every trial must have ended."""
    ended = study.records("TrialEnded")
    if len(ended) != TRIALS:
        raise Fault(f"{len(ended)} of {TRIALS} trials ended")
    books.studies += 1
    books.folds += len(study.records("FoldEnded"))
    books.repeated += len(study.records("FoldStarted")) - len(
        {(record["trial"], record["fold"]) for record in study.records("FoldStarted")}
    )
    books.trials.update(record["state"] for record in ended)


def report(books: Books, seconds: float) -> None:
    """Print what was killed when, and what the books say."""
    print(f"\n{sum(books.kills.values())} kills in {seconds / 60:.0f} minutes: {dict(books.kills)}")
    print(f"{'aimed at':15} {'last record of the session':26} kills")
    for pair, count in sorted(books.moments.items()):
        aimed, last = pair.split(" -> ")
        print(f"{aimed:15} {last:26} {count:5}")
    early = sum(count for pair, count in books.moments.items() if pair.endswith(NOTHING))
    print(f"before the session's first record: {early}; the study was quicker: {books.missed}")
    print(f"{books.studies} studies ended, trials: {dict(books.trials)}")
    print(
        f"{books.folds} folds finished, each once; {books.repeated} were begun again after a kill;"
        " lost folds 0, doubled folds or trials 0, stuck runs 0, processes left 0"
    )


if __name__ == "__main__":
    main()
