"""`studies`: what is in the home folder."""

from datetime import datetime
from typing import Any

from search.cli.options import DEFAULT_HOME, AsJson, Home
from tracking.objectives import DEFAULT, OBJECTIVES


def studies(home: Home = DEFAULT_HOME, json: AsJson = False) -> None:
    """List all studies with their best score so far."""
    from search.cli.columns import score_text
    from search.cli.listing import Column, Listing
    from search.cli.output import Notices, console, print_json
    from search.studies import readable_studies
    from tracking.home import Home as HomeFolder

    found = readable_studies(HomeFolder(home), Notices(quiet=json))
    rows = [_row(name, history) for name, history in found.items()]
    if json:
        print_json(rows)
        return
    if not rows:
        console.print(f"No study in {home} yet. Begin one: python -m search run --space lenet")
        return
    columns = [
        Column("study", is_number=False),
        Column("dataset", is_number=False),
        Column("trials"),
        Column("best"),
        Column("begun", is_number=False, spare=2),
        Column("driver", is_number=False, spare=1),
    ]
    if any(row["objectives"] != [DEFAULT] for row in rows):
        columns.insert(3, Column("searched for", is_number=False))
    made = Listing(columns)
    for row in rows:
        begun = datetime.fromtimestamp(row["begun"]).strftime("%Y-%m-%d %H:%M")  # local
        cells = {
            "study": row["study"],
            "dataset": row["dataset"],
            "trials": f"{row['finished']}/{row['trials']}",
            "searched for": ", ".join(row["objectives"]),
            "best": score_text(OBJECTIVES[row["objectives"][0]], row["best"]),
            "begun": begun,
            "driver": f"{row['driver']}/{row['sampler']}",
        }
        made.add_row([cells[column.heading] for column in columns])
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
        "objectives": [objective.name for objective in history.objectives],
        "best": None if best is None else best.value,
        "best_confirmed": (
            None if best is None else best.confirmed_score(history.objectives[0].name)
        ),
        "best_trial": None if best is None else best.number,
        "last_session": history.last_end.reason if history.last_end else "unfinished",
    }
