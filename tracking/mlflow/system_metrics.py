"""The load of the machine a session runs on, in MLflow beside the study.

It goes to MLflow alone: the journal, and so `sync`, knows nothing of it. This imports MLflow.
"""

import threading
import time
from contextlib import suppress

import psutil
from mlflow import MlflowClient, environment_variables
from mlflow.entities import Metric
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

_SAMPLING = 5.0  # seconds; a sample takes about a millisecond, and logging it some ten


class LoadMonitor:
    """A thread that logs the machine's load to a run: processors, memory, disk, network, GPUs.

    It measures as MLflow does and under its names, so that MLflow's pages show "system metrics".
    MLflow's own thread is not used: earlier versions log to no other address than the process's.

    Args:
        client: of the address.
        run_id: MLflow's identifier of the run.
        since: when the run began, seconds since 1970; steps are seconds from then.
    """

    def __init__(self, client: MlflowClient, run_id: str, since: float) -> None:
        self._client, self._run_id, self._since = client, run_id, since
        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(Exception):  # there is none, or its package is missing
            self._monitors.append(GPUMonitor())
        self._finishing = threading.Event()
        self._thread = threading.Thread(target=self._log, name="LoadMonitor", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended; it does when it cannot measure, or MLflow cannot be reached."""
        return not self._thread.is_alive()

    def finish(self) -> None:
        """End it; a sample that is being logged is waited for, for a second."""
        self._finishing.set()
        self._thread.join(timeout=1.0)

    def _log(self) -> None:
        interval = environment_variables.MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get()
        psutil.cpu_percent()  # what it answers is of the time since the call before
        while not self._finishing.wait(interval or _SAMPLING):
            try:
                self._client.log_batch(self._run_id, self._sample())
            except Exception:  # noqa: BLE001 - whatever MLflow, its libraries and drivers raise
                return

    def _sample(self) -> list[Metric]:
        now = time.time()
        sample = {name: value for one in self._monitors for name, value in _read(one)}
        at, step = round(now * 1000), int(now - self._since)
        return [Metric(f"system/{name}", value, at, step) for name, value in sample.items()]


def _read(monitor: BaseMetricsMonitor) -> list[tuple[str, float]]:
    monitor.collect_metrics()
    measured = [*monitor.aggregate_metrics().items()]
    monitor.clear_metrics()
    return measured
