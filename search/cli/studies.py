"""`studies`: what is in the home folder."""

from datetime import datetime
from typing import Any

from search.cli.options import DEFAULT_HOME, AsJson, Home


def studies(home: Home = DEFAULT_HOME, json: AsJson = False) -> None:
    """List all studies with their best score so far."""
    from search.cli.output import Notices, console, percent, print_json, table
    from search.opening import readable_studies
    from tracking.home import Home as HomeFolder

    found = readable_studies(HomeFolder(home), Notices(quiet=json))
    rows = [_row(name, history) for name, history in found.items()]
    if json:
        print_json(rows)
        return
    if not rows:
        console.print(f"No study in {home} yet. Begin one: python -m search run --space lenet")
        return
    made = table("study", "dataset", "trials", "best", "begun", "driver", right=("trials", "best"))
    for row in rows:
        begun = datetime.fromtimestamp(row["begun"]).strftime("%Y-%m-%d %H:%M")  # local
        made.add_plain_row(
            row["study"],
            row["dataset"],
            f"{row['finished']}/{row['trials']}",
            percent(row["best"]),
            begun,
            f"{row['driver']}/{row['sampler']}",
        )
    console.print(made)


def _row(name: str, history: Any) -> dict[str, Any]:
    start, best = history.study, history.best()
    return {
        "study": name,
        "space": start.space,
        "dataset": start.dataset["name"],
        "driver": start.driver,
        "sampler": start.settings["sampler"],
        "folds": start.folds,
        "begun": start.at,
        "trials": history.sessions[-1].trials if history.sessions else 0,
        "finished": len(history.finished()),
        "best": None if best is None else best.value,
        "best_trial": None if best is None else best.number,
        "last_session": history.last_end.reason if history.last_end else "unfinished",
    }
