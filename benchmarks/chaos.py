"""Kill a study's processes at random moments, continue it, and check the books.

Run: `python benchmarks/chaos.py --rounds 100` (about 25 minutes). Real studies on digits with
MLflow on SQLite, one or two workers, racing or not. In every round the study is started, or
continued, and after a random time one of these is ended with `kill -9`: the coordinator, a worker,
the whole group of processes. A study whose worker was killed must go on by itself. After every kill
of a coordinator no process may be left, the journal must be readable, and every fold that was
finished before must still be there. After every few kills the study is run to its end and its
journal is compared with itself and with MLflow (`tests/faults/books.py`): no fold lost or trained
twice, no trial counted twice, no run stuck. The first fault ends the script with exit code 1.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.books import check_books  # noqa: E402 # the path comes first
from tests.faults.processes import Command, StudyRun  # noqa: E402

VICTIMS = ("coordinator", "worker", "group")
TRIALS = 12


@dataclass
class Books:
    """What happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
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
        "--longest", type=float, default=14.0, help="seconds until a kill; a start takes six"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos.json"))
    asked = parser.parse_args()
    source, books = random.Random(asked.seed), Books()  # noqa: S311 # no secret
    began = time.monotonic()
    while sum(books.kills.values()) < asked.rounds:
        left = asked.rounds - sum(books.kills.values())
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            study = StudyRun(Path(folder) / "user")
            try:
                torment(study, source, books, min(asked.kills_per_study, left), asked.longest)
            except AssertionError as fault:
                print(f"FAULT: {fault}", flush=True)
                sys.exit(1)
            finally:
                study.clean_up()
    report(books, time.monotonic() - began)
    asked.out.write_text(json.dumps(vars(books)) + "\n")


def torment(
    study: StudyRun, source: random.Random, books: Books, kills: int, longest: float
) -> None:
    """Kill a new study so many times, run it to its end and check its books."""
    pruner = source.choice(("racing", "none"))
    options = ("--workers", str(source.choice((1, 2))), "--pruner", pruner)
    for _ in range(kills):
        command = study.start(*options, trials=TRIALS)
        time.sleep(source.uniform(0.5, longest))
        victim = source.choice(VICTIMS)
        before, moment = finished(study), last_kind(study)
        if command.process.poll() is not None:
            break  # it was quicker
        if victim == "worker" and not kill_worker(command, source):
            victim = "coordinator"
        books.kills[victim] += 1
        books.moments[moment] += 1
        print(f"{sum(books.kills.values()):4}  {victim:12} {moment}", flush=True)
        if victim == "worker":
            time.sleep(source.uniform(0.0, 4.0))
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


def kill_worker(command: Command, source: random.Random) -> bool:
    """Kill one of the workers; tell whether there was one."""
    workers = command.workers()
    if workers:
        source.choice(workers).kill()
    return bool(workers)


def finished(study: StudyRun) -> set[tuple[int, int]]:
    """Return the folds whose end is in the journal."""
    return {(record["trial"], record["fold"]) for record in study.records("FoldEnded")}


def last_kind(study: StudyRun) -> str:
    """Return what the study was doing, by its journal's last record."""
    records = study.records()
    return f"after {records[-1]['kind']}" if records else "before the first record"


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
    print(f"when: {dict(books.moments)}")
    print(f"{books.studies} studies ended, trials: {dict(books.trials)}")
    print(
        f"{books.folds} folds finished, each once; {books.repeated} were begun again after a kill;"
        " lost folds 0, doubled folds or trials 0, stuck runs 0, processes left 0"
    )


if __name__ == "__main__":
    main()
