"""One study's experiment in MLflow: its runs found or made once, and written to.

An explicit `MlflowClient` is used throughout; MLflow's fluent interface keeps global state. This
module and `models` import MLflow, which takes seconds: import them where they are needed.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow import MlflowClient, environment_variables
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)

from tracking.home import folder_name
from tracking.mlflow.database import measure_tables
from tracking.mlflow.mapping import BEST_MARK, FRONT_MARK, Point, RunKey, Tags, finite
from tracking.mlflow.transport import bound_exchanges

_METRICS, _OTHERS = 800, 100  # MLflow takes 1,000 entries a request, 100 params, 100 tags
_TRIALS = "tags.`search.kind` = 'trial'"
# A call that fails is repeated twice within a second, for servers that fail now and then. The
# publisher waits for one that is away; MLflow's own 7 tries of 120 s, with pauses of up to two
# minutes between them, would only hide that. Variables that the user has set go first.
_REQUESTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 2,
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": 0,
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": 1.0,  # seconds, before the second repetition
    "MLFLOW_HTTP_REQUEST_TIMEOUT": 30,  # seconds, of a call with its repetitions
}


@dataclass(frozen=True)
class RunReference:
    """A run in MLflow.

    Attributes:
        name: as it is shown.
        started: `search.started` of a fold's run: which of its starts the run shows.
        marks: how it compared with the others when it was found, as `runs.mark_tags` says it.
    """

    id: str
    name: str
    started: float = 0.0
    marks: Tags = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRun:
    """A trial's run as MLflow shows it.

    Attributes:
        number: the trial's, from 0.
        state: `complete`, `pruned`, `failed`, `running`, `waiting` or `interrupted`.
        status: MLflow's own: `RUNNING`, `FINISHED`, `FAILED` or `KILLED`.
        id: MLflow's identifier of the run.
    """

    number: int
    state: str
    status: str
    id: str


class MlflowStore:
    """Reads and writes one study's experiment.

    Attributes:
        client: MLflow's client.
        experiment_id: MLflow's identifier of the experiment; empty before `open`.
    """

    def __init__(self, tracking_uri: str, artifacts: Path | None) -> None:
        _limit_requests()
        self.client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        self._tracking_uri = tracking_uri
        self._is_served = tracking_uri.startswith(("http", "databricks"))
        self.experiment_id = ""
        self._artifacts = artifacts
        self._runs: dict[RunKey, RunReference] = {}
        self._searched: set[str] = set()
        self._had_runs: set[int] | None = None  # the trials that had when this was made
        self._tags: Tags = {}  # of the experiment, as far as known
        self._is_new = False

    def open(self, name: str, study_id: str, tags: Tags) -> bool:
        """Find the study's experiment or make it; tell whether it was made.

        It is found whatever it is called by now. Another study's experiment, or a deleted one,
        keeps its name: this study's is then called `NAME-<first 8 digits of its id>`.
        """
        candidate, found = self._name(name, study_id)
        if found is None and (identifier := self.find_experiment(study_id)) is not None:
            found = self.client.get_experiment(identifier)
        if found is not None:
            self.experiment_id, self._tags = found.experiment_id, dict(found.tags)
            return False
        location = None
        if self._artifacts is not None:
            folder = self._artifacts.resolve() / folder_name(candidate)
            location = folder.as_uri()
        self.experiment_id = self.client.create_experiment(candidate, location, tags)
        self._is_new, self._tags = True, dict(tags)
        return True

    def rename(self, name: str, study_id: str) -> None:
        """Give the opened experiment a name, as `open` would have; its artifacts stay in place."""
        candidate, found = self._name(name, study_id)
        if found is None:
            self.client.rename_experiment(self.experiment_id, candidate)

    def delete_experiment(self, study_id: str) -> str | None:
        """Mark the study's experiment deleted; return its identifier, None if there is none."""
        identifier = self.find_experiment(study_id)
        if identifier is not None:
            self.client.delete_experiment(identifier)
        return identifier

    def _name(self, name: str, study_id: str) -> tuple[str, Experiment | None]:
        """Return the first name of an experiment that is free or the study's, and this."""
        candidate, attempt = name, 1
        while (found := self.client.get_experiment_by_name(candidate)) is not None:
            if _belongs(found, study_id):
                break
            candidate = f"{name}-{study_id[:8]}" + (f"-{attempt}" if attempt > 1 else "")
            attempt += 1
        return candidate, found

    def find_experiment(self, study_id: str) -> str | None:
        """Return the identifier of the study's experiment, whatever its name; None if absent."""
        found = self.client.search_experiments(
            filter_string=f"tags.`search.study_id` = '{study_id}'", max_results=1
        )
        return str(found[0].experiment_id) if found else None

    def trial_runs(self, study_id: str) -> list[TrialRun] | None:
        """Return the runs of a study's trials, by their start; None where MLflow has no such study.

        Runs that were deleted are left out.

        Args:
            study_id: the study's, whatever its name.
        """
        experiment = self.find_experiment(study_id)
        if experiment is None:
            return None
        return [
            TrialRun(
                int(run.data.tags.get("search.trial", -1)),
                run.data.tags.get("search.state", ""),
                run.info.status,
                run.info.run_id,
            )
            for run in self._pages(experiment, _TRIALS)
        ]

    def tag_experiment(self, tags: Tags) -> None:
        """Set tags of the experiment, one request for each that has changed."""
        for name, value in tags.items():
            if self._tags.get(name) != value:
                self.client.set_experiment_tag(self.experiment_id, name, value)
                self._tags[name] = value

    def find(self, key: RunKey, name: str = "") -> RunReference | None:
        """Return the run, None when there is none.

        MLflow is asked once for the runs of all trials, once for those of each trial's folds that
        had any then, and not at all for a new experiment.

        Args:
            key: which run is meant.
            name: that it is given if it has another; empty to leave it.
        """
        if key not in self._runs and not self._is_new and self._may_be_there(key):
            self._search(_query(key))
        run = self._runs.get(key)
        if run is not None and name not in ("", run.name):
            self.client.update_run(run.id, name=name)
            run = self._runs[key] = replace(run, name=name)
        return run

    def _may_be_there(self, key: RunKey) -> bool:
        if key.kind in ("trial", "fold"):
            if self._had_runs is None:
                self._search(_TRIALS)
                self._had_runs = {known.trial for known in self._runs if known.trial is not None}
            if key.kind == "trial" or key.trial not in self._had_runs:
                return False
        return _query(key) not in self._searched

    def tidy(self, key: RunKey) -> None:
        """Leave one run a key, for all of a trial's runs or all of a kind.

        There are two where a server made a run and its answer was lost, so that it was asked again.
        A database that is written to directly loses no answers.
        """
        if self._is_served:
            self._search(_query(key))

    def settle(self) -> None:
        """Make what was written quick to be read."""
        measure_tables(self._tracking_uri)

    def create(self, key: RunKey, name: str, tags: Tags, *, at: float) -> RunReference:
        """Make the run.

        Args:
            key: which run it is.
            name: as it is shown.
            tags: all its tags.
            at: its start, seconds since 1970 (UTC).
        """
        run = self.client.create_run(
            self.experiment_id,
            start_time=_milliseconds(at),
            tags=tags,
            run_name=name,
        )
        started = float(tags.get("search.started", 0.0))
        self._runs[key] = RunReference(run.info.run_id, name, started)
        return self._runs[key]

    def delete(self, key: RunKey) -> None:
        """Delete the run."""
        self.client.delete_run(self._runs.pop(key).id)

    def log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write metrics, params and tags, in as few requests as MLflow's limits allow."""
        metrics = [Metric(p.name, finite(p.value), _milliseconds(p.at), p.step) for p in points]
        settings = [Param(name, value) for name, value in (params or {}).items()]
        labels = [RunTag(name, value) for name, value in (tags or {}).items()]
        while metrics or settings or labels:
            self.client.log_batch(run_id, metrics[:_METRICS], settings[:_OTHERS], labels[:_OTHERS])
            metrics = metrics[_METRICS:]
            settings, labels = settings[_OTHERS:], labels[_OTHERS:]

    def log_dataset(self, run_id: str, *, name: str, digest: str, source: str) -> None:
        """Record the dataset as the run's input.

        The entities are MLflow's own; `mlflow.data` would make the same out of loaded arrays.
        """
        dataset = Dataset(name, digest[:12], "local", source)
        context = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, [DatasetInput(dataset, [context])])

    def upload(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write the run's artifacts by their paths; those of the same path are replaced."""
        if not files:
            return
        with tempfile.TemporaryDirectory(prefix="foldwise-") as folder:
            for path, content in files.items():
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            self.client.log_artifacts(run_id, folder)

    def finish(self, run_id: str, status: str, *, at: float) -> None:
        """Set the run's status (`FINISHED`, `KILLED`, `FAILED`, `SCHEDULED`) and its end."""
        self.client.set_terminated(run_id, status, _milliseconds(at))

    def resume(self, run_id: str) -> None:
        """Set the run's status to `RUNNING`."""
        self.client.update_run(run_id, status="RUNNING")

    def _search(self, query: str) -> None:
        doubles: dict[RunKey, list[Run]] = {}
        for run in self._pages(self.experiment_id, query):
            doubles.setdefault(RunKey.of(run.data.tags), []).append(run)
        for each, same in doubles.items():
            self._keep_one(each, same)
        self._searched.add(query)

    def _pages(self, experiment_id: str, query: str) -> Iterator[Run]:
        page: str | None = None
        while page != "":
            found = self.client.search_runs(
                [experiment_id],
                query,
                ViewType.ACTIVE_ONLY,
                order_by=["start_time ASC"],
                page_token=page,
            )
            yield from found
            page = found.token or ""

    def _keep_one(self, key: RunKey, runs: list[Run]) -> None:
        """Keep the run that is written to: the one in use here, else the one that says most."""
        known = self._runs.get(key)

        def rank(run: Run) -> tuple[bool, float, int]:
            is_known = known is not None and run.info.run_id == known.id
            size = len(run.data.metrics) + len(run.data.params) + len(run.data.tags)
            return is_known, _started(run), size

        kept = max(runs, key=rank)
        for run in runs:
            if run is not kept:
                self.client.delete_run(run.info.run_id)
        marks = {n: t for n, t in kept.data.tags.items() if n in (BEST_MARK, FRONT_MARK)}
        name = kept.info.run_name or ""
        self._runs[key] = RunReference(kept.info.run_id, name, _started(kept), marks)


def _limit_requests() -> None:
    for name, value in _REQUESTS.items():
        # Not `os.environ`: that is the user's, and what they start would inherit it.
        getattr(environment_variables, name).default = value
    bound_exchanges()


def _query(key: RunKey) -> str:
    in_trial = key.kind in ("trial", "fold")
    name, value = ("trial", str(key.trial)) if in_trial else ("kind", key.kind)
    return f"tags.`search.{name}` = '{value}'"


def _started(run: Run) -> float:
    return float(run.data.tags.get("search.started", 0.0))


def _belongs(experiment: Experiment, study_id: str) -> bool:
    active: bool = experiment.lifecycle_stage == "active"
    return active and bool(experiment.tags.get("search.study_id") == study_id)


def _milliseconds(at: float) -> int:
    return round(at * 1000)
