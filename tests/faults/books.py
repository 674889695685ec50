"""Compares a study's journal with what MLflow shows of it: nothing lost, nothing twice."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.processes import in_session
from tracking.journal import read_journal
from tracking.mlflow.sink import open_store
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
    SessionEnded,
    SessionStarted,
    StudyStarted,
    TrialConfirmed,
    TrialEnded,
    TrialReopened,
    TrialStarted,
)

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_SESSION_STATUS = {"interrupted": "SCHEDULED", "stopped": "SCHEDULED", "failed": "FAILED"}
_CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


class BooksDiffer(AssertionError):
    """The journal contradicts itself, or MLflow the journal; the message lists how."""


@dataclass(frozen=True)
class Run:
    """A run as MLflow shows it."""

    id: str
    status: str
    tags: Mapping[str, str]
    metrics: Mapping[str, list[tuple[int, float]]]

    @property
    def key(self) -> tuple[str, ...]:
        """Its kind and numbers, as its tags say: `fold 0 1`."""
        names = ("search.kind", "search.trial", "search.fold")
        return tuple(self.tags[name] for name in names if name in self.tags)


def check_books(journal: Path, tracking_uri: str, *, session: int | None = None) -> None:
    """Check a study between sessions, when everything was shipped.

    Args:
        journal: the study's journal.
        tracking_uri: where its experiment is.
        session: of the processes of `run`; none of it may be left.

    Raises:
        BooksDiffer: something is lost, doubled, left open or left running.
    """
    records = read_journal(journal)
    faults = journal_faults(records) + mlflow_faults(records, read_runs(records, tracking_uri))
    if session is not None:
        faults += [f"process left: {line}" for line in in_session(session)]
    if faults:
        raise BooksDiffer(f"{journal} and {tracking_uri}:\n" + "\n".join(faults))


def journal_faults(records: list[Record]) -> list[str]:
    """Return how a journal contradicts itself."""
    studies = _of(records, StudyStarted)
    if len(studies) != 1 or records[0] is not studies[0]:
        return [f"{len(studies)} records StudyStarted, or not the first"]
    started = [r.trial for r in _of(records, TrialStarted)]
    ended = [r.trial for r in _of(records, TrialEnded)]
    folds = [(r.trial, r.fold) for r in _of(records, FoldEnded)]
    faults = [f"fold ended twice: {pair}" for pair in _doubles(folds)]
    retried = Counter(r.trial for r in _of(records, TrialReopened))
    times = Counter(ended)
    faults += [f"trial ended twice: {n}" for n in sorted(times) if times[n] > 1 + retried[n]]
    faults += [f"trial started twice: {number}" for number in _doubles(started)]
    if sorted(set(started)) != list(range(len(set(started)))):
        faults.append(f"numbers of trials with gaps: {sorted(set(started))}")
    faults += [f"never began: trial {number}" for number in sorted(set(ended) - set(started))]
    begun = {(r.trial, r.fold) for r in _of(records, FoldStarted)}
    faults += [f"never began: fold {pair}" for pair in sorted(set(folds) - begun)]
    faults += _incomplete_trials(records, studies[0].folds)
    return faults + _unfinished(records, started, ended)


def mlflow_faults(records: list[Record], runs: list[Run]) -> list[str]:
    """Return how MLflow's runs contradict the journal."""
    expected = _expected_runs(records)
    found = Counter(run.key for run in runs)
    faults = [f"no run: {' '.join(key)}" for key in expected if not found[key]]
    faults += [f"{n} runs: {' '.join(key)}" for key, n in found.items() if n > 1]
    faults += [f"run without record: {' '.join(key)}" for key in found if key not in expected]
    parents = {run.key: run.id for run in runs}
    for run in runs:
        name = " ".join(run.key)
        state = (run.status, run.tags.get("search.state"))
        if run.status == "RUNNING":
            faults.append(f"RUNNING: {name}")
        elif run.key in expected and state != expected[run.key]:
            faults.append(f"{name} is {state}, should be {expected[run.key]}")
        parent = parents.get(("trial", run.tags.get("search.trial", "")))
        if run.key[0] == "fold" and run.tags.get("mlflow.parentRunId") != parent:
            faults.append(f"{name} does not lie under its trial")
    return faults + _wrong_metrics(records, {run.key: run for run in runs})


def read_runs(records: list[Record], tracking_uri: str) -> list[Run]:
    """Return all runs of the journal's study, with every value of their metrics.

    Raises:
        BooksDiffer: there is not exactly one experiment of the study.
    """
    client = open_store(tracking_uri, artifacts=None).client
    experiment = _experiment(client, records)
    return [_read_run(client, run) for run in _all_runs(client, experiment)]


def everything_shown(journal: Path, tracking_uri: str) -> dict[str, Any]:
    """Return whatever MLflow knows of the journal's study, to be compared with a later look."""
    client = open_store(tracking_uri, artifacts=None).client
    experiment = _experiment(client, read_journal(journal))
    return {"experiment": dict(experiment.tags)} | {
        run.info.run_id: {
            "run": run.to_dictionary(),
            "metrics": {
                name: sorted(
                    (m.step, m.timestamp, m.value)
                    for m in client.get_metric_history(run.info.run_id, name)
                )
                for name in run.data.metrics
            },
            "files": sorted(_files(client, run.info.run_id)),
        }
        for run in _all_runs(client, experiment)
    }


def _experiment(client: Any, records: list[Record]) -> Any:
    study = _of(records, StudyStarted)[0]
    query = f"tags.`search.study_id` = '{study.id}'"
    experiments = client.search_experiments(filter_string=query)
    if len(experiments) != 1:
        raise BooksDiffer(f"{len(experiments)} experiments of the study")
    return experiments[0]


def _all_runs(client: Any, experiment: Any) -> Iterator[Any]:
    page = None
    while page != "":
        runs = client.search_runs([experiment.experiment_id], page_token=page)
        yield from runs
        page = runs.token or ""


def _files(client: Any, run_id: str, path: str | None = None) -> Iterator[tuple[str, int]]:
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            yield from _files(client, run_id, entry.path)
        else:
            yield entry.path, entry.file_size


def _read_run(client: Any, run: Any) -> Run:
    metrics = {
        name: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }
    return Run(run.info.run_id, run.info.status, dict(run.data.tags), metrics)


def _expected_runs(records: list[Record]) -> dict[tuple[str, ...], tuple[str, str]]:
    """Return status and state of every run there must be, by its key."""
    sessions = _of(records, SessionEnded)
    reason = sessions[-1].reason if sessions else "running"
    expected = {("study",): (_SESSION_STATUS.get(reason, "FINISHED"), reason)}
    states = {r.trial: r.state for r in _of(records, TrialEnded)}
    for trial in {r.trial for r in _of(records, TrialStarted)}:
        expected["trial", str(trial)] = _outcome(states.get(trial))
    confirmed = {r.trial for r in _of(records, TrialConfirmed)}
    over = {(r.trial, r.fold) for r in _of(records, FoldEnded)}
    of_study = _of(records, StudyStarted)[0].folds
    for trial, fold in {(r.trial, r.fold) for r in _of(records, FoldStarted)}:
        cut_short = states.get(trial)
        if fold > of_study:
            cut_short = "failed" if trial in confirmed else None
        state = "complete" if (trial, fold) in over else cut_short
        expected["fold", str(trial), str(fold)] = _outcome(state)
    return expected


def _outcome(state: str | None) -> tuple[str, str]:
    return (_STATUS[state], state) if state else ("SCHEDULED", "interrupted")


def _wrong_metrics(records: list[Record], runs: Mapping[tuple[str, ...], Run]) -> list[str]:
    expected: dict[tuple[str, ...], dict[str, list[tuple[int, float]]]] = {}
    for (trial, fold), epochs in _last_tries(records).items():
        curves = expected.setdefault(("fold", str(trial), str(fold)), {})
        for number, ended in sorted(epochs.items()):
            for name, value in ended.metrics.items():
                curves.setdefault(name, []).append((number, value))
    for over in _of(records, FoldEnded):
        scores = {"fold_accuracy": over.accuracy, "fold_loss": over.loss}
        for name, value in scores.items():
            expected["fold", str(over.trial), str(over.fold)][name] = [(0, value)]
    scored = {r.trial: r for r in _of(records, TrialEnded)}
    for trial in {r.trial for r in _of(records, TrialStarted)}:
        ended_trial = scored.get(trial)
        is_complete = ended_trial is not None and ended_trial.state == "complete"
        score = ended_trial.scores.get("cv_accuracy") if ended_trial and is_complete else None
        rows = expected.setdefault(("trial", str(trial)), {})
        rows["cv_accuracy"] = [] if score is None else [(0, score)]
    return [
        f"{' '.join(key)}: {name} is {found}, should be {values}"
        for key, run in runs.items()
        for name, values in _with_absent(expected.get(key), key).items()
        if not _same(found := run.metrics.get(name, []), values)
    ]


def _with_absent(
    expected: dict[str, list[tuple[int, float]]] | None, key: tuple[str, ...]
) -> dict[str, list[tuple[int, float]]]:
    """Return what a run must show; curves it must not show are there, empty."""
    empty: dict[str, list[tuple[int, float]]] = {name: [] for name in _CURVES if key[0] == "fold"}
    return empty | (expected or {})


def _last_tries(records: list[Record]) -> dict[tuple[int, int], dict[int, EpochEnded]]:
    """Return the epochs of each fold; one that began again drops those that it was not to keep."""
    tries: dict[tuple[int, int], dict[int, EpochEnded]] = {}
    for record in records:
        if isinstance(record, FoldStarted):
            known = tries.get((record.trial, record.fold), {})
            kept = {number: shown for number, shown in known.items() if number <= record.kept}
            tries[record.trial, record.fold] = kept
        elif isinstance(record, FoldPaused) and not record.epoch:
            tries[record.trial, record.fold] = {}
        elif isinstance(record, EpochEnded):
            tries[record.trial, record.fold][record.epoch] = record
    return tries


def _same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    return len(found) == len(expected) and all(
        a == b and (x == y or (math.isnan(x) and not math.isfinite(y)))
        for (a, x), (b, y) in zip(found, expected, strict=True)
    )


def _incomplete_trials(records: list[Record], folds: int) -> list[str]:
    over = {(r.trial, r.fold) for r in _of(records, FoldEnded)}
    return [
        f"trial {ended.trial} is complete without fold {fold}"
        for ended in _of(records, TrialEnded)
        for fold in range(1, folds + 1)
        if ended.state == "complete" and (ended.trial, fold) not in over
    ]


def _unfinished(records: list[Record], started: list[int], ended: list[int]) -> list[str]:
    sessions, ends = _of(records, SessionStarted), _of(records, SessionEnded)
    if not ends or ends[-1].reason != "complete":
        return []
    faults = [f"unfinished: trial {number}" for number in sorted(set(started) - set(ended))]
    if len(set(ended)) < sessions[-1].trials:
        faults.append(f"{len(set(ended))} of {sessions[-1].trials} trials in a complete study")
    begun, over = _last_tries(records), {(r.trial, r.fold) for r in _of(records, FoldEnded)}
    complete = {r.trial for r in _of(records, TrialEnded) if r.state == "complete"}
    open_folds = [pair for pair in begun if pair[0] in complete and pair not in over]
    return faults + [f"unfinished: fold {pair}" for pair in open_folds]


def _of(records: list[Record], kind: type[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def _doubles(values: Iterable[Hashable]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
