"""Where a study's records are shown: MLflow at an address, or the home's own database."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from search.errors import FoldwiseError, SettingsError
from search.text import Notify
from tracking.history import History
from tracking.home import Home, StudyFolder
from tracking.journal import JournalError, read_journal
from tracking.mlflow.publisher import Shipper, ship_all
from tracking.mlflow.shipped import address_key
from tracking.mlflow.sink import MlflowSink, find_experiment
from tracking.mlflow.sink_base import Sink
from tracking.mlflow.views import BEST, COMPARE, comparison_path, view_path
from tracking.records import Record, StudyStarted
from tracking.secrets import (
    keep_out_of_logs,
    place_of,
    secrets_in,
    shown_address,
    without_secrets,
)

UI_ADDRESS = "http://127.0.0.1:5000"
_QUIET_SECONDS, _DRAIN_SECONDS = 5.0, 60.0
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")


@dataclass(frozen=True)
class Tracker:
    """Brings journals to MLflow.

    Attributes:
        home: where the studies are, and the database that is used without an address.
        address: MLflow's tracking address, None for the home's database.
        ui_address: where the pages over the home's database are served, for links.
    """

    home: Home
    address: str | None = None
    ui_address: str = UI_ADDRESS

    def __post_init__(self) -> None:
        scheme = (self.address or "http:").partition(":")[0].partition("+")[0]
        if scheme not in _SCHEMES:
            raise SettingsError(
                f"`--tracking-uri` must begin with one of {', '.join(_SCHEMES)};"
                f" got {self.shown_uri}"
            )

    @property
    def is_local(self) -> bool:
        """Whether MLflow's store is the home's own database."""
        return self.address is None

    @property
    def uri(self) -> str:
        """The address MLflow's client is given; it may hold a password."""
        return self.address or self.home.tracking_uri

    @property
    def shown_uri(self) -> str:
        """The address without user, password and query, fit to be printed."""
        return shown_address(self.uri)

    def shipping(self, folder: StudyFolder, notify: Notify) -> Shipper:
        """Start shipping a study's journal in the background.

        Args:
            folder: the study; its folder exists.
            notify: takes notices for the user, from another thread.
        """
        return Shipper(
            folder.journal,
            folder.shipped,
            lambda: self._sink(folder),
            uri_key=address_key(place_of(self.uri)),
            notify=notify,
        )

    def drain(self, shipper: Shipper, notify: Notify) -> int:
        """Wait until everything is shipped, a minute at most; return how many records are not."""
        began = time.monotonic()
        waiting = shipper.drain(_QUIET_SECONDS)
        if waiting and time.monotonic() - began >= _QUIET_SECONDS:  # it is slow, not refused
            notify(
                f"Waiting for MLflow at {self.shown_uri} to take {waiting} records. Ctrl-C leaves"
                " them for `python -m search sync`."
            )
            with suppress(KeyboardInterrupt):  # the journal keeps them
                waiting = shipper.drain(_DRAIN_SECONDS)
        return waiting

    def sync(self, folder: StudyFolder, notify: Notify) -> int:
        """Ship what waits in a study's journal; return how many records MLflow does not have."""
        try:
            shipment = ship_all(
                folder.journal,
                folder.shipped,
                lambda: self._sink(folder),
                uri_key=address_key(place_of(self.uri)),
                notify=notify,
            )
        except JournalError as error:
            raise FoldwiseError(str(error)) from error
        if shipment.waiting:
            notify(
                f"records still to reach MLflow at {self.shown_uri}: {shipment.waiting}"
                f" ({shipment.failure})"
            )
            return shipment.waiting + shipment.set_aside
        return shipment.set_aside or self._forgotten(folder, notify)

    def _forgotten(self, folder: StudyFolder, notify: Notify) -> int:
        """Return how many records MLflow had once and has no more: all, or none."""
        records = read_journal(folder.journal)
        if not records or not isinstance(records[0], StudyStarted):
            return 0
        name = records[0].study
        keep_out_of_logs(frozenset() if self.is_local else secrets_in(self.uri))
        try:
            if find_experiment(self.uri, records[0].id) is not None:
                return 0
            fault = "does not know it any more; `python -m search doctor --repair` tells it again"
        except Exception as error:  # noqa: BLE001 # whatever MLflow and its libraries raise
            told = without_secrets(" ".join(str(error).split()))[:200]
            fault = f"cannot be asked about it ({told})"
        notify(f"study {name}: MLflow at {self.shown_uri} {fault}")
        return len(records)

    def views(self, history: History) -> dict[str, str]:
        """Return the links to the study's saved views by name.

        None are returned while MLflow does not know the study or cannot be asked.
        """
        keep_out_of_logs(frozenset() if self.is_local else secrets_in(self.uri))
        try:
            experiment = find_experiment(self.uri, history.known_study().id)
        except Exception:  # noqa: BLE001 # whatever MLflow raises: a link is not worth a failure
            return {}
        if experiment is None:
            return {}
        base = self.ui_address if self.is_local else self.shown_uri.rstrip("/")
        return {
            "best_trials_first": base + view_path(experiment, BEST),
            "compare": base + view_path(experiment, COMPARE),
        }

    def comparison(self, histories: Sequence[History]) -> str:
        """Return the link to the trials of several studies in one table; empty as for `views`."""
        try:
            found = [find_experiment(self.uri, each.known_study().id) for each in histories]
        except Exception:  # noqa: BLE001 # as for `views`
            return ""
        known = [experiment for experiment in found if experiment is not None]
        if len(known) < 2:
            return ""
        base = self.ui_address if self.is_local else self.shown_uri.rstrip("/")
        return base + comparison_path(known, histories[0].objectives[0])

    def _sink(self, folder: StudyFolder) -> Sink:
        artifacts = self.home.artifacts if self.is_local else None
        sink = MlflowSink(self.uri, artifacts=artifacts, folder=folder.root)
        return sink if self.is_local else _DiscreetSink(sink, secrets_in(self.uri))


class TrackingFailed(Exception):
    """What MLflow or a library below it raised, told without secrets."""


@dataclass(frozen=True)
class _DiscreetSink:
    """A sink whose failures, and what is logged meanwhile, tell no secrets of its address."""

    sink: Sink
    secrets: frozenset[str]

    def apply(self, record: Record, history: History, *, more: bool = False) -> None:
        with _discreet(self.secrets):
            self.sink.apply(record, history, more=more)

    def close(self) -> None:
        with _discreet(self.secrets):
            self.sink.close()


@contextmanager
def _discreet(secrets: frozenset[str]) -> Iterator[None]:
    keep_out_of_logs(secrets)
    try:
        yield
    except Exception as error:  # noqa: BLE001 # a sink raises whatever its libraries raise
        told = without_secrets(str(error).strip() or type(error).__name__, secrets)
        raise TrackingFailed(told) from None  # its causes would tell the secrets
