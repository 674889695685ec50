import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tracking.history import History
from tracking.journal import Journal
from tracking.mlflow.calls import reason
from tracking.mlflow.delivery import Offset, PublisherLock, address_key
from tracking.mlflow.publisher import Publisher, publish_all
from tracking.records import (
    EpochEnded,
    FoldStarted,
    Record,
    SessionEnded,
    StudyStarted,
    TrialEnded,
    TrialStarted,
)

KEY = address_key("http://user:secret@server")


class FakePlace:
    """Where a fake sink shows records; it can be down, and can refuse a kind of record."""

    def __init__(self) -> None:
        self.shown: list[Record] = []
        self.sizes_of_history: list[int] = []
        self.more: list[bool] = []
        self.is_down = False
        self.refuses: type[Record] | None = None
        self.gate = threading.Event()
        self.gate.set()

    def sink(self) -> "FakeSink":
        return FakeSink(self)


class FakeSink:
    def __init__(self, place: FakePlace) -> None:
        self.place = place

    def apply(self, record: Record, history: History, *, more: bool = False) -> None:
        self.place.gate.wait()
        if self.place.is_down:
            raise ConnectionError("no answer from http://user:secret@server")
        if self.place.refuses and isinstance(record, self.place.refuses):
            raise ValueError("bad value")
        self.place.shown.append(record)
        self.place.sizes_of_history.append(len(history.trials))
        self.place.more.append(more)

    def close(self) -> None:
        pass


class Outpost:
    """A journal, a place, and a way to start publishers between them."""

    def __init__(self, folder: Path) -> None:
        self.journal, self.shipped = folder / "journal.jsonl", folder / "shipped.json"
        self.place = FakePlace()
        self.notices: list[str] = []

    def publisher(self, *, patience: float = 0.0) -> Publisher:
        return Publisher(
            self.journal,
            self.shipped,
            self.place.sink,
            key=KEY,
            notify=self.notices.append,
            gather=0.01,
            first_pause=0.01,
            patience=patience,
        )

    def grow(self) -> None:
        with Journal(self.journal) as journal:
            journal.append(SessionEnded(at=2_000_000_000.0, reason="complete"))

    def publish_all(self):
        return publish_all(
            self.journal,
            self.shipped,
            self.place.sink,
            key=KEY,
            notify=self.notices.append,
            pauses=(0.0,) * 5,
        )


@pytest.fixture
def outpost(tmp_path, study):
    outpost = Outpost(tmp_path)
    study.every_kind_of_trial().write(outpost.journal)
    return outpost


def eventually(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def waits(outpost):
    """Tell whether the note beside the journal says that records wait."""
    noted = Offset.load(outpost.shipped, KEY).position
    return noted < outpost.journal.stat().st_size


def test_everything_is_published_in_order(outpost, study):
    with outpost.publisher() as publisher:
        assert publisher.drain(5) == 0
    kinds = [r for r in study.records if not isinstance(r, EpochEnded)]
    assert [r for r in outpost.place.shown if not isinstance(r, EpochEnded)] == kinds


def test_an_epoch_is_left_to_the_record_of_its_fold_that_follows_at_once(outpost):
    outpost.publish_all()
    epochs = [r for r in outpost.place.shown if isinstance(r, EpochEnded)]
    # Of the folds cut short the last epoch; of the finished ones none.
    assert [(r.trial, r.epoch) for r in epochs] == [(2, 2), (3, 1), (4, 1)]


def test_an_epoch_followed_by_one_of_another_trial_is_shown(outpost, new_study):
    study = new_study()
    for trial in (0, 1):
        study.start_trial(trial)
        study.add(FoldStarted, trial=trial, fold=1)
    for trial in (0, 1, 0):
        study.add(EpochEnded, trial=trial, fold=1, epoch=1, metrics={"loss": 1.0})
    study.write(outpost.journal)
    outpost.publish_all()
    assert [r.trial for r in outpost.place.shown if isinstance(r, EpochEnded)] == [0, 1, 0]


def test_only_the_last_record_of_a_delivery_is_told_that_none_follows(outpost):
    outpost.publish_all()
    outpost.grow()
    outpost.publish_all()
    assert outpost.place.more == [True] * (len(outpost.place.more) - 2) + [False, False]


@pytest.mark.slow
def test_of_very_many_records_one_in_some_hundreds_is_told_so(outpost, new_study):
    study = new_study()
    for trial in range(1200):
        study.start_trial(trial)
    study.write(outpost.journal)
    outpost.publish_all()
    last = [place for place, more in enumerate(outpost.place.more) if not more]
    assert last[-1] == 1200
    assert {later - earlier for earlier, later in pairwise(last)} == {500}


def test_the_history_grows_with_the_records(outpost):
    outpost.publish_all()
    first_of_trial_1 = next(
        n for n, r in enumerate(outpost.place.shown) if isinstance(r, TrialStarted) and r.trial == 1
    )
    assert outpost.place.sizes_of_history[first_of_trial_1 - 1 : first_of_trial_1 + 1] == [1, 2]


def test_what_is_appended_later_is_published_after_wake(outpost, study):
    with outpost.publisher() as publisher:
        publisher.drain(5)
        study.end_trial(4, "complete")
        with Journal(outpost.journal) as journal:
            journal.append(study.records[-1])
        publisher.wake()
        assert eventually(lambda: outpost.place.shown[-1] == study.records[-1])


def test_a_new_process_publishes_only_the_rest_but_knows_all(outpost, study):
    outpost.publish_all()
    outpost.place.shown.clear()
    study.end_trial(4, "complete")
    study.write(outpost.journal)
    publication = outpost.publish_all()
    assert outpost.place.shown == [study.records[-1]]
    assert outpost.place.sizes_of_history[-1] == 5
    assert (publication.published, publication.waiting, publication.failure) == (1, 0, "")


def test_another_address_is_told_everything(outpost):
    first = outpost.publish_all()
    outpost.place.shown.clear()
    again = publish_all(
        outpost.journal,
        outpost.shipped,
        outpost.place.sink,
        key=address_key("http://elsewhere"),
        notify=outpost.notices.append,
    )
    assert again.published == first.published > 0
    assert outpost.publish_all().published == 0


def test_no_part_of_the_address_is_stored(outpost):
    outpost.publish_all()
    assert "secret" not in outpost.shipped.read_text()
    assert not [path for path in outpost.shipped.parent.iterdir() if "secret" in path.name]


@pytest.mark.slow
def test_an_outage_gives_one_notice_and_its_end_another(outpost):
    outpost.place.is_down = True
    with outpost.publisher() as publisher:
        assert eventually(lambda: len(outpost.notices) == 1)
        time.sleep(0.1)  # several tries
        outpost.place.is_down = False
        assert eventually(lambda: len(outpost.notices) == 2)
        assert publisher.drain(5) == 0
    assert "cannot be reached" in outpost.notices[0]
    assert "secret" not in outpost.notices[0]
    assert "again" in outpost.notices[1]


@pytest.mark.slow
def test_a_short_outage_is_not_worth_a_word(outpost):
    outpost.place.is_down = True
    with outpost.publisher(patience=30) as publisher:
        time.sleep(0.1)  # several tries
        outpost.place.is_down = False
        assert eventually(lambda: outpost.place.shown and not waits(outpost))
        assert outpost.notices == []
        outpost.place.is_down = True
        outpost.grow()
        publisher.wake()
        time.sleep(0.1)
        assert outpost.notices == []
        publisher.drain(5)  # but for somebody who waits it is
        assert len(outpost.notices) == 1


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "API request to http://a:1/x failed with exception HTTPConnectionPool(host='a', port=1)"
            ': Max retries exceeded with url: /x (Caused by NewConnectionError("HTTPConnection('
            "host='a', port=1): Failed to establish a new connection: [Errno 111] Connection"
            ' refused"))',
            "[Errno 111] Connection refused",
        ),
        (
            "API request to http://a:1/x failed with exception HTTPConnectionPool(host='a', port=1)"
            ": Max retries exceeded with url: /x (Caused by ResponseError('too many 500 error"
            " responses'))",
            "too many 500 error responses",
        ),
        ("no answer from http://user:word@a\nand more", "no answer from http://***@a"),
        ("", "ValueError"),
    ],
)
def test_of_an_error_the_last_cause_is_told(told, shown):
    assert reason(ValueError(told)) == shown


def test_draining_during_an_outage_returns_early_with_what_waits(outpost, study):
    outpost.place.is_down = True
    with outpost.publisher() as publisher:
        started = time.monotonic()
        assert publisher.drain(30) == len(study.records)
        assert time.monotonic() - started < 5


def test_draining_gives_up_on_a_place_that_hangs(outpost, study):
    outpost.place.gate.clear()
    with outpost.publisher() as publisher:
        assert publisher.drain(0.05) == len(study.records)
        outpost.place.gate.set()


def test_waking_never_waits_for_a_place_that_hangs(outpost):
    outpost.place.gate.clear()
    with outpost.publisher() as publisher:
        time.sleep(0.05)
        started = time.monotonic()
        for _ in range(1000):
            publisher.wake()
        assert time.monotonic() - started < 0.5
        outpost.place.gate.set()


@pytest.mark.slow
def test_a_record_that_is_refused_is_set_aside_and_the_rest_goes_on(outpost, study):
    outpost.place.refuses = TrialEnded
    with outpost.publisher() as publisher:
        assert eventually(lambda: publisher.refused == 4)
        assert publisher.drain(5) == 0
    assert len(outpost.notices) == 4
    assert all("bad value" in notice for notice in outpost.notices)
    assert any(isinstance(r, TrialStarted) and r.trial == 4 for r in outpost.place.shown)


def test_a_sync_tries_what_was_set_aside_once_more_and_tells_what_followed_again(outpost, study):
    outpost.place.refuses = TrialEnded
    assert outpost.publish_all().refused == 4
    outpost.place.shown.clear()
    first = next(n for n, r in enumerate(study.records) if isinstance(r, TrialEnded))

    still_refused = outpost.publish_all()
    assert (still_refused.published, still_refused.refused) == (len(study.records) - first, 4)

    outpost.place.refuses = None
    outpost.place.shown.clear()
    taken = outpost.publish_all()
    assert (taken.published, taken.refused) == (len(study.records) - first, 0)
    assert outpost.place.shown[0] == study.records[first]
    assert outpost.publish_all().published == 0


def test_a_session_does_not_try_again_what_was_set_aside(outpost):
    outpost.place.refuses = TrialEnded
    outpost.publish_all()
    outpost.place.shown.clear()
    with outpost.publisher() as publisher:
        assert publisher.drain(5) == 0
        assert publisher.refused == 4
    assert outpost.place.shown == []


def test_a_disk_that_cannot_be_written_does_not_end_the_publishing(outpost, study, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Offset, "store", full)
        publication = outpost.publish_all()
    assert (publication.published, publication.waiting) == (len(study.records), 0)
    outpost.place.shown.clear()
    assert outpost.publish_all().published == len(study.records)  # nothing was noted; told again


def test_a_record_that_makes_no_sense_stops_the_publisher_with_a_notice(outpost, study):
    study.add(TrialEnded, trial=99, state="complete", value=1.0)
    study.write(outpost.journal)
    with outpost.publisher() as publisher:
        assert publisher.drain(5) == 1
    assert outpost.notices == [
        "Publishing to MLflow stopped (KeyError: 99); `foldwise sync` goes on."
    ]


def test_nothing_is_set_aside_while_the_place_is_down(outpost, study):
    outpost.place.is_down = True
    publication = outpost.publish_all()
    assert publication.refused == 0
    assert publication.waiting == len(study.records)
    assert "no answer" in publication.failure


def test_a_study_whose_first_record_is_refused_waits(outpost, study):
    outpost.place.refuses = StudyStarted
    assert outpost.publish_all().waiting == len(study.records)


def test_only_one_process_publishes_at_a_time(outpost, study):
    other = PublisherLock(outpost.shipped, KEY)
    assert other.acquire()
    publication = outpost.publish_all()
    assert publication.waiting == len(study.records)
    assert "another process" in publication.failure
    other.release()
    assert outpost.publish_all().waiting == 0


def test_a_journal_that_was_replaced_by_a_shorter_one_is_told_anew(outpost, new_study):
    outpost.publish_all()
    outpost.place.shown.clear()
    new_study(study_id="f" * 32).write(outpost.journal)
    outpost.publish_all()
    assert [r.id for r in outpost.place.shown] == ["f" * 32]


def test_a_damaged_note_of_what_was_shipped_means_starting_over(outpost):
    outpost.publish_all()
    count = len(outpost.place.shown)
    outpost.shipped.write_text("{")
    outpost.publish_all()
    assert len(outpost.place.shown) == 2 * count


def test_a_damaged_journal_stops_the_publisher_with_a_notice(outpost):
    lines = outpost.journal.read_bytes().splitlines(keepends=True)
    outpost.journal.write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:]]))
    with outpost.publisher() as publisher:
        publisher.drain(5)
    assert any("line 4" in notice for notice in outpost.notices)


HANGING = """
import socket, sys, threading, time
from itertools import pairwise
from pathlib import Path
from tracking.mlflow.sink import MlflowSink
from tracking.mlflow.publisher import Publisher

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(50)  # connections are taken, and never answered
address = f"http://127.0.0.1:{server.getsockname()[1]}"
folder = Path(sys.argv[1])
publisher = Publisher(folder / "journal.jsonl", folder / "shipped.json",
    lambda: MlflowSink(address, artifacts=None, folder=folder),
    key="key", notify=print, gather=0.0)
print("waiting", publisher.drain(float(sys.argv[2])))
"""


@pytest.mark.slow
def test_the_interpreter_exits_although_the_server_hangs(outpost, study):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGING, str(outpost.journal.parent), "8"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert time.monotonic() - started < 25
    assert done.stdout.strip() == f"waiting {len(study.records)}"
    assert done.stderr == ""
