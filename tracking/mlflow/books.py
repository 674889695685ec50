"""What MLflow shows of a study's trials, to be compared with the journal."""

from dataclasses import dataclass

from tracking.mlflow.sink import open_store


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


def trial_runs(tracking_uri: str, study_id: str) -> list[TrialRun] | None:
    """Return the runs of a study's trials, by their start; None where MLflow has no such study.

    Runs that were deleted are left out.

    Args:
        tracking_uri: MLflow's address; a database that does not exist would be made.
        study_id: the study's, whatever its name.

    Raises:
        mlflow.exceptions.MlflowException: MLflow cannot be reached.
    """
    store = open_store(tracking_uri, artifacts=None)
    experiment = store.find_experiment(study_id)
    if experiment is None:
        return None
    found: list[TrialRun] = []
    page: str | None = None
    while page != "":
        runs = store.client.search_runs(
            [experiment],
            "tags.`search.kind` = 'trial'",
            max_results=1000,
            order_by=["start_time ASC"],
            page_token=page,
        )
        for run in runs:
            tags = run.data.tags
            number, state = int(tags.get("search.trial", -1)), tags.get("search.state", "")
            found.append(TrialRun(number, state, run.info.status, run.info.run_id))
        page = runs.token or ""
    return found
