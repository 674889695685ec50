"""Run every model of the table under both drivers and print what comes out.

python -m tests.models [PART_OF_A_NAME ...]
"""

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.models.catalog import DRIVERS, TABLE, Entry
from tests.tracked import give_database


def line(entry: Entry, driver: str, home: Path) -> str:
    """Run a study, and return its row of the table."""
    told: list[str] = []
    begun = time.monotonic()
    try:
        found = entry.run(driver, home, told)
    except Exception as error:  # whatever a model's study ends with belongs in the table
        if "-v" in sys.argv:
            traceback.print_exc()
        return f"{entry.name} | {driver} | {type(error).__name__}: {error}"
    start, best = found.history.known_study(), found.best
    seconds = time.monotonic() - begun
    if best is None or len(found.history.completed()) < 2:
        reasons = [t.ended.reason for t in found.history.finished() if t.ended]
        return f"{entry.name} | {driver} | FAILED {reasons} {told}"
    if "-v" in sys.argv:
        print("\n".join(told))
    objective = found.history.objectives[0].name
    return (
        f"{entry.kind} | {start.task} | {driver} | {len(found.history.completed())} | {objective}"
        f" | {best.value:.4g} | {seconds:.1f} s"
    )


def main() -> None:
    wanted = [word for word in sys.argv[1:] if word != "-v"]
    with tempfile.TemporaryDirectory() as folder:
        give_database(Path(folder) / "mlflow.db")
        for entry in TABLE:
            if not wanted or any(word in entry.name for word in wanted):
                for driver in DRIVERS:
                    print(line(entry, driver, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
