"""A MLflow store as its visitors see it."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tracking.mlflow.database import make_database
from tracking.mlflow.sink import MlflowSink, open_store


def give_database(path: Path) -> None:
    """Put a database that MLflow has just made at `path`: it makes one for seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_new_database(), path)


@cache
def _new_database() -> Path:
    folder = tempfile.mkdtemp(prefix="new-database-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "mlflow.db"
    make_database(f"sqlite:///{path}")
    return path


class Tracked:
    """A MLflow store, and what stands in it."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri, self.folder = uri, folder
        self.client = open_store(uri, artifacts=None).client

    def sink(self, **options) -> MlflowSink:
        place = self.folder / "artifacts"
        return MlflowSink(self.uri, artifacts=place, folder=self.folder, **options)

    def experiment(self, name="lenet-digits"):
        return self.client.get_experiment_by_name(name)

    def runs(self, name="lenet-digits", query=""):
        return self.client.search_runs(
            [self.experiment(name).experiment_id], query, order_by=["start_time ASC"]
        )

    def run(self, kind, trial=None, fold=None):
        query = f"tags.`search.kind` = '{kind}'"
        query += f" AND tags.`search.trial` = '{trial}'" if trial is not None else ""
        query += f" AND tags.`search.fold` = '{fold}'" if fold is not None else ""
        [run] = self.runs(query=query)
        return run

    def history(self, run, metric):
        found = self.client.get_metric_history(run.info.run_id, metric)
        return sorted((m.step, m.timestamp, m.value) for m in found)

    def files(self, run, path=None):
        found = {}
        for entry in self.client.list_artifacts(run.info.run_id, path):
            if entry.is_dir:
                found |= self.files(run, entry.path)
            else:
                local = self.client.download_artifacts(run.info.run_id, entry.path)
                found[entry.path] = Path(local).read_bytes()
        return found

    def dump(self):
        """Return everything a visitor can see, identifiers left out."""
        names = {run.info.run_id: run.info.run_name for run in self.runs()}
        return {
            "experiment": dict(self.experiment().tags),
            "runs": [self._dump_run(run, names) for run in self.runs()],
        }

    def _dump_run(self, run, names):
        tags = {name: names.get(value, value) for name, value in run.data.tags.items()}
        return {
            "name": run.info.run_name,
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": tags,
            "metrics": {name: self.history(run, name) for name in run.data.metrics},
            "inputs": [entry.dataset.to_dictionary() for entry in run.inputs.dataset_inputs],
            "files": self.files(run),
        }
