"""A server that does what it is asked, and whose answer does not come through."""

import threading
import time
from uuid import uuid4

import pytest

from tests.faults.books import check_books, everything_shown
from tests.faults.servers import FINE, Manner, Proxy
from tests.studies import StudyBuilder
from tracking.mlflow.publisher import publish_all
from tracking.mlflow.sink import MlflowSink
from tracking.records import SessionEnded

RUNS = 6  # one of the study, two of trials, three of folds

pytestmark = pytest.mark.slow  # starts servers


class Parcel:
    """A study's records, and a way to publish them."""

    def __init__(self, folder):
        self.folder = folder
        self.study = StudyBuilder(study_id=uuid4().hex)
        self.study.session(trials=2)
        self.study.complete_trial(0, level=0.8)
        self.study.start_trial(1)
        self.study.fold(1, 1, epochs=1)
        self.study.end_trial(1, "pruned", reason="weak")
        self.study.add(SessionEnded, reason="complete")
        self.journal = self.study.write(folder / "journal.jsonl")

    def publish(self, address, note="shipped.json"):
        return publish_all(
            self.journal,
            self.folder / note,
            lambda: MlflowSink(address, artifacts=None, folder=self.folder),
            key="key",
            notify=print,
            pauses=(0.1,) * 60,
        )


@pytest.fixture
def parcel(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")  # seconds that nobody needs
    return Parcel(tmp_path)


@pytest.mark.parametrize("every", [1, 2])
def test_runs_whose_making_was_not_confirmed_are_not_made_twice(parcel, proxy, server, every):
    proxy.behave(Manner(forgets=True, only="runs/create", every=every))
    publication = parcel.publish(proxy.address)
    assert (publication.waiting, publication.refused) == (0, 0)
    assert sum(n for call, n in proxy.calls.items() if "runs/create" in call) > RUNS
    check_books(parcel.journal, server.address)


def test_a_server_that_fails_every_other_call_gets_everything_once(parcel, proxy, server):
    proxy.behave(Manner(status=500, every=2))
    publication = parcel.publish(proxy.address)
    assert (publication.waiting, publication.refused) == (0, 0)
    check_books(parcel.journal, server.address)
    proxy.behave(FINE)
    shown = everything_shown(parcel.journal, server.address)
    parcel.publish(proxy.address, "another-note.json")
    assert everything_shown(parcel.journal, server.address) == shown


def test_files_that_are_refused_for_a_while_are_brought_by_a_later_sync(parcel, proxy, server):
    proxy.behave(Manner(status=500, only="PUT "))
    assert parcel.publish(proxy.address).refused == 2  # both trials' ends
    proxy.behave(FINE)
    assert parcel.publish(proxy.address).refused == 0
    check_books(parcel.journal, server.address)


def test_a_server_that_stood_still_and_then_does_all_it_was_asked_shows_no_run_twice(
    parcel, mortal, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    mortal.start()
    with Proxy(mortal) as proxy:
        publishing = threading.Thread(target=parcel.publish, args=(proxy.address,))
        proxy.behave(Manner(delay=0.05))
        publishing.start()
        made = wait_for_calls(proxy, "runs/create", 2)
        mortal.freeze()
        wait_for_calls(proxy, "", made + 8)  # tried again and again
        mortal.thaw()
        publishing.join()
    check_books(parcel.journal, mortal.address)


def wait_for_calls(proxy, text, count, patience=60):
    end = time.monotonic() + patience
    while sum(n for call, n in proxy.calls.copy().items() if text in call) < count:
        assert time.monotonic() < end
        time.sleep(0.005)
    return sum(proxy.calls.copy().values())
