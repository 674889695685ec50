"""Run every model of the table under both drivers and print what comes out.

python -m tests.models [PART_OF_A_NAME ...]
"""

import argparse
import os
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.models.catalog import DRIVERS, SMALL, TABLE, Entry, asked_here
from tests.tracked import give_database


def row(entry: Entry, driver: str, home: Path, told: list[str]) -> str:
    """Run a study, and return its row of the table."""
    begun = time.monotonic()
    try:
        found = entry.run(driver, home, told)
    except Exception as error:  # noqa: BLE001 - whatever it ends with belongs in the table
        told.append(traceback.format_exc())
        return f"| {entry.kind} ({entry.name}) | {driver} | {type(error).__name__}: {error} |"
    start, best = found.history.known_study(), found.best
    complete = len(found.history.completed())
    if best is None or complete < SMALL["trials"]:
        reasons = [trial.ended.reason for trial in found.history.finished() if trial.ended]
        return f"| {entry.kind} ({entry.name}) | {driver} | {reasons} |"
    return (
        f"| {entry.kind} | {start.task} | {driver} | {complete}"
        f" | {found.history.objectives[0].name} | {best.value:.4g}"
        f" | {time.monotonic() - begun:.1f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--driver", choices=DRIVERS)
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    drivers = [asked.driver] if asked.driver else DRIVERS
    with tempfile.TemporaryDirectory() as folder, asked_here():
        give_database(Path(folder) / "mlflow.db")
        for entry in TABLE:
            if not asked.names or any(word in entry.name for word in asked.names):
                for driver in drivers:
                    told: list[str] = []
                    print(row(entry, driver, Path(folder), told), flush=True)
                    if asked.verbose:
                        print("\n".join(told), flush=True)


if __name__ == "__main__":
    main()
