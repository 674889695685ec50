"""The portfolios that come with this project's spaces, chosen on recorded learning curves.

    python benchmarks/portfolios.py            # writes search/study/learning/portfolios.json

A study whose home has none to learn from begins with them. For each space that has tables
(`recording.py`), settings are chosen greedily by the product's own driver: each is the one that
promises most beyond those before it, over all tables alike. Kept are these settings and the
baselines with their ranks on each table: which of them is best, how the tables' scores are
distributed, and nothing of the data.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learning import Recorded
from recording import TABLES, read_table

from search.study.drivers import FixedDriver
from search.study.learning.earlier import SHIPPED, EarlierStudy, Learned
from search.study.learning.prior import LearningDriver, Surrogate, normal_scores
from spaces import Params

SETTINGS = 8
# Older ones, of other ranges.
LEFT_OUT = frozenset({"diabetes-mlp", "fashion_mnist-mlp-cosine", "fashion_mnist-lenet-8000"})


def portfolio(tables: list[Recorded]) -> Learned:
    """Return the settings that are best for some tables, with their scores on each."""
    studies = tuple(_as_study(table) for table in tables)
    space = tables[0].space
    driver = LearningDriver(FixedDriver(()), Learned(studies, shipped=True), space, seed=0)
    baselines = tables[0].settings[: tables[0].baselines]
    for number, params in enumerate(baselines):
        driver.adopt(number, params, sampled=False)
    chosen = [driver.ask(number) for number in range(len(baselines), len(baselines) + SETTINGS)]
    kept = [*baselines, *(params for params in chosen if params is not None)]
    return Learned(tuple(_with(study, kept, space) for study in studies), shipped=True)


def _as_study(table: Recorded) -> EarlierStudy:
    """Return a table as a study that has evaluated all of its settings."""
    scores = normal_scores(table.values)
    trials = tuple(zip(table.settings, map(float, scores), strict=True))
    return EarlierStudy(table.name, "", table.dataset, "", "", trials)


def _with(study: EarlierStudy, kept: list[Params], space: Any) -> EarlierStudy:
    """Return a study with some settings alone."""
    judge = Surrogate(study, space)
    scores = judge.scores({space.identity(params): params for params in kept})
    trials = tuple((_short(p, kept), round(float(s), 3)) for p, s in zip(kept, scores, strict=True))
    return EarlierStudy(study.study, study.study, study.dataset, "", "normal score", trials)


def _short(params: Params, kept: list[Params]) -> Params:
    """Return what differs between the settings, numbers with four digits."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in params.items()
        if any(other.get(name) != value for other in kept)
    }


def main() -> None:
    """Choose portfolios of all spaces that have tables, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=TABLES)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    asked = parser.parse_args()
    paths = [
        path
        for path in sorted(asked.folder.glob("*.jsonl.gz"))
        if path.name.split(".")[0] not in LEFT_OUT
    ]
    spaces: dict[str, list[Recorded]] = {}
    for path in paths:
        spaces.setdefault(read_table(path)[0]["space"], []).append(Recorded.load(path))
    entries = []
    for space, tables in sorted(spaces.items()):
        found = json.loads(portfolio(tables).text)
        rows = ",\n".join(json.dumps(study) for study in found["studies"])
        entries.append(f'{json.dumps(space)}: {{"studies": [\n{rows}\n]}}')
        print(f"{space}: {', '.join(table.name for table in tables)}")
    made = (
        "benchmarks/portfolios.py, from benchmarks/tables, described in docs/tables.md; values are"
        f" normal scores of ranks within a table; {datetime.now(UTC):%Y-%m-%d}"
    )
    content = ",\n".join(entries)
    asked.out.write_text(f'{{"made_by": {json.dumps(made)}, "spaces": {{\n{content}\n}}}}\n')


if __name__ == "__main__":
    main()
