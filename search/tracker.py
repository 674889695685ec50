"""Where a study's records are shown: MLflow at an address, or the home's own database."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from search.errors import FoldwiseError, SettingsError
from tracking.history import History
from tracking.home import Home, StudyFolder
from tracking.journal import JournalError, read_journal
from tracking.mlflow.calls import ServerFault, fault_in, reason, within
from tracking.mlflow.delivery import Delivery, Sink, address_key, addresses
from tracking.mlflow.publisher import Publisher, publish_all
from tracking.mlflow.sink import MlflowSink, delete_experiment, find_experiment, trial_runs
from tracking.mlflow.views import BEST, COMPARE, comparison_path, view_path
from tracking.records import Record, StudyStarted
from tracking.secrets import (
    keep_out_of_logs,
    place_of,
    secrets_in,
    shown_address,
    without_secrets,
)
from tracking.text import Notify, shell

if TYPE_CHECKING:
    from tracking.mlflow.store import TrialRun

UI_ADDRESS = "http://127.0.0.1:5000"
_QUIET_SECONDS, _DRAIN_SECONDS = 5.0, 60.0
_HURRIED_SECONDS = 5.0  # instead of a minute; a scheduler kills what does not end in 30
_RECORD_SECONDS = 60.0  # for one record with all its tries, until the rest is left to `sync`
_SYNC_SECONDS = 600.0  # for all records, where a command does more than that
_ANSWER_SECONDS, _LINK_SECONDS = 60.0, 10.0  # for a question; for one that only a link needs
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SCHEMES = ("http", "https", *_DATABASES, "databricks")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Tracker:
    """Brings journals to MLflow.

    Attributes:
        home: where the studies are, and the database that is used without an address.
        address: MLflow's tracking address, None for the home's database.
        ui_address: where the pages over the home's database are served, for links.
        unasked: the studies with nothing to publish that MLflow could not be asked about.
    """

    home: Home
    address: str | None = None
    ui_address: str = UI_ADDRESS
    unasked: list[str] = field(default_factory=list, compare=False, repr=False)
    _away: list[str] = field(default_factory=list, compare=False, repr=False)  # why, once it is

    def __post_init__(self) -> None:
        if self.address is None:
            return
        scheme = self.address.partition(":")[0].partition("+")[0]
        if scheme not in _SCHEMES:
            raise SettingsError(
                f"`--tracking-uri` must begin with one of {', '.join(_SCHEMES)};"
                f" got {self.shown_uri}"
            )
        if scheme in ("http", "https"):
            _check_host(self.address, self.shown_uri)
        if scheme in _DATABASES and not self.address.startswith("sqlite:"):
            _check_driver(self.address, self.shown_uri)

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

    @property
    def command(self) -> str:
        """MLflow's own command that serves the home's database."""
        return shlex.join(("mlflow", "ui", "--backend-store-uri", self.home.tracking_uri))

    def publishing(
        self, folder: StudyFolder, notify: Notify, *, system_metrics: bool = False
    ) -> Publisher:
        """Start publishing a study's journal in the background.

        Args:
            folder: the study; its folder exists.
            notify: takes notices for the user, from another thread.
            system_metrics: log this machine's load meanwhile.
        """
        return Publisher(
            folder.journal,
            folder.shipped,
            lambda: self._sink(folder, system_metrics=system_metrics),
            key=self._key,
            notify=notify,
        )

    def drain(self, publisher: Publisher, notify: Notify, *, hurries: bool = False) -> int:
        """Wait until everything is published; return how many records are not.

        It takes a minute at most, and 10 seconds where somebody `hurries`.
        """
        began = time.monotonic()
        with suppress(KeyboardInterrupt):  # the journal keeps them
            waiting = publisher.drain(_QUIET_SECONDS)
            is_slow = time.monotonic() - began >= _QUIET_SECONDS  # else it failed
            if waiting and is_slow:
                notify(
                    f"Waiting for MLflow at {self.shown_uri} to take {waiting} records. Ctrl-C"
                    f" leaves them for `{shell('sync')}`."
                )
                publisher.drain(_HURRIED_SECONDS if hurries else _DRAIN_SECONDS)
        return publisher.waiting

    def sync(self, folder: StudyFolder, notify: Notify, *, seconds: float = _SYNC_SECONDS) -> int:
        """Publish what waits in a study's journal; return how many records MLflow does not have.

        A record that is overdue ends it, and MLflow is not asked about further studies.

        Args:
            folder: the study.
            notify: takes notices for the user.
            seconds: how long it may take; what is left then waits for `sync`.
        """
        if self._away:
            return self._left(folder, notify)
        try:
            publication = publish_all(
                folder.journal,
                folder.shipped,
                lambda: self._sink(folder),
                key=self._key,
                notify=notify,
                record_seconds=self._limit(_RECORD_SECONDS),
                seconds=self._limit(seconds),
            )
        except JournalError as error:
            raise FoldwiseError(str(error)) from error
        if publication.is_overdue:
            self._away.append(publication.failure)
        if publication.waiting:
            self._say_what_waits(publication.waiting, publication.failure, notify)
            return publication.waiting + publication.refused
        return publication.refused or self._forgotten(folder, notify)

    def _left(self, folder: StudyFolder, notify: Notify) -> int:
        """Return how many records wait for an MLflow that is away, without asking it."""
        delivery = Delivery(
            folder.journal, folder.shipped, lambda: self._sink(folder), key=self._key, notify=notify
        )
        if waiting := delivery.waiting():
            self._say_what_waits(waiting, self._away[0], notify)
        return waiting

    def _say_what_waits(self, waiting: int, why: str, notify: Notify) -> None:
        notify(f"records still to reach MLflow at {self.shown_uri}: {waiting} ({why})")

    def _forgotten(self, folder: StudyFolder, notify: Notify) -> int:
        """Return how many records MLflow had once and has no more: all, or none.

        Where it cannot be asked, none, and the study is among the unasked.
        """
        records = read_journal(folder.journal)
        if not records or not isinstance(records[0], StudyStarted):
            return 0
        study = records[0]
        try:
            if self._answer(lambda: find_experiment(self.uri, study.id)) is not None:
                return 0
        except Exception as error:  # noqa: BLE001 # whatever MLflow and its libraries raise
            fault, lost = f"cannot be asked about it ({reason(error)})", 0
            self.unasked.append(study.study)
        else:
            fault = f"no longer has it; `{shell('doctor', '--repair')}` sends it again"
            lost = len(records)
        notify(f"study {study.study}: MLflow at {self.shown_uri} {fault}")
        return lost

    def views(self, history: History) -> dict[str, str]:
        """Return the links to the study's saved views by name.

        None are returned while MLflow does not know the study or cannot be asked.
        """
        experiment = self._experiment(history)
        if experiment is None:
            return {}
        base = self.ui_address if self.is_local else self.shown_uri.rstrip("/")
        return {
            "best_trials_first": base + view_path(experiment, BEST),
            "compare": base + view_path(experiment, COMPARE),
        }

    def comparison(self, histories: Sequence[History]) -> str:
        """Return the link to the trials of several studies in one table; empty as for `views`."""
        found = [self._experiment(each) for each in histories]
        known = [experiment for experiment in found if experiment is not None]
        if len(known) < 2:
            return ""
        base = self.ui_address if self.is_local else self.shown_uri.rstrip("/")
        return base + comparison_path(known, histories[0].objectives[0])

    def trial_runs(self, study_id: str) -> "list[TrialRun] | None":
        """Return the runs of a study's trials in MLflow; None where it has no such study.

        Raises:
            ServerFault: it does not answer in time, or badly.
            TrackingFailed: whatever else MLflow and its libraries raise.
        """
        return self._answer(lambda: trial_runs(self.uri, study_id))

    def others(self, folder: StudyFolder) -> int:
        """Return at how many other addresses something of a study was published."""
        return len(addresses(folder.shipped) - {self._key})

    def delete_experiment(self, study_id: str) -> str | None:
        """Mark a study's experiment deleted; return its identifier, None where MLflow has none.

        Raises:
            ServerFault: MLflow does not answer in time, or badly.
            TrackingFailed: whatever else MLflow and its libraries raise.
        """
        if self.is_local and not self.home.database.exists():
            return None
        return self._answer(lambda: delete_experiment(self.uri, study_id))

    def _experiment(self, history: History) -> str | None:
        """Return MLflow's identifier of a study's experiment, for a link; None without an answer.

        A link is not worth a failure, nor a long wait for each of many.
        """
        study = history.known_study()
        try:
            return self._answer(lambda: find_experiment(self.uri, study.id), _LINK_SECONDS)
        except (ServerFault, TrackingFailed):
            return None

    def _answer(self, ask: Callable[[], Value], seconds: float | None = None) -> Value:
        """Ask MLflow, unless it kept somebody waiting before."""
        if self._away:
            raise ServerFault(self._away[0])
        with _discreet(frozenset() if self.is_local else secrets_in(self.uri)):
            try:
                return within(self._limit(_ANSWER_SECONDS if seconds is None else seconds), ask)
            except ServerFault as fault:
                self._away.append(str(fault))
                raise

    def _limit(self, seconds: float) -> float:
        """Return a limit for a server; a file on a busy machine takes as long as it takes."""
        return inf if self.uri.startswith("sqlite") else seconds

    @property
    def _key(self) -> str:
        return address_key(place_of(self.uri))

    def _sink(self, folder: StudyFolder, *, system_metrics: bool = False) -> Sink:
        artifacts = self.home.artifacts if self.is_local else None
        sink = MlflowSink(
            self.uri, artifacts=artifacts, folder=folder.root, system_metrics=system_metrics
        )
        return sink if self.is_local else _DiscreetSink(sink, secrets_in(self.uri))


class Untracked(Tracker):
    """Brings nothing to MLflow: for studies that nobody will look up."""

    @contextmanager
    def publishing(  # type: ignore[override]
        self, folder: StudyFolder, notify: Notify, *, system_metrics: bool = False
    ) -> Iterator["_Nobody"]:
        """Do nothing."""
        yield _Nobody()

    def drain(self, publisher: object, notify: Notify, *, hurries: bool = False) -> int:
        """Return 0: nothing waits."""
        return 0


class _Nobody:
    def wake(self) -> None:
        """Do nothing."""


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
        fault = fault_in(error)
        said = str(fault or error).strip() or type(error).__name__
        kind = ServerFault if fault else TrackingFailed
        raise kind(without_secrets(said, secrets)) from None  # its causes would tell the secrets


def _check_host(address: str, shown: str) -> None:
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    if not host:
        raise SettingsError(
            f"`--tracking-uri` must name a machine, as in http://127.0.0.1:5000; got {shown}"
        )


def _check_driver(address: str, shown: str) -> None:
    """Make sure that the package for an address's database is there.

    Raises:
        SettingsError: it is not, or there is none of that name.
    """
    from sqlalchemy.engine import make_url  # what MLflow opens databases by
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(address).get_dialect().import_dbapi()
    except ImportError as error:
        raise SettingsError(
            f"`--tracking-uri` {shown}: its driver needs the package {error.name!r}, which is not"
            " installed. Install it, or name the driver that is, as in postgresql+psycopg://..."
        ) from error
    except (NoSuchModuleError, ArgumentError, ValueError) as error:
        raise SettingsError(
            f"`--tracking-uri` {shown}: {without_secrets(str(error), secrets_in(address))}"
        ) from error
