import hashlib

import pytest

from search.analysis.report.report import write_report
from search.errors import FoldwiseError, SettingsError
from tests.studies import StudyBuilder
from tracking.home import Home
from tracking.journal import read_journal
from tracking.lock import StudyLock
from tracking.records import ReportWritten


class FakeTracker:
    """Counts what it is asked to bring, and says that nothing waits."""

    def __init__(self):
        self.synced = []

    def sync(self, folder, notify):
        self.synced.append(folder.root.name)
        return 0


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "mlruns")
    for name in ("one", "two"):
        StudyBuilder(name).race().write(home.study(name).journal)
    study = StudyBuilder("begun")
    study.session()
    study.start_trial(0)
    study.write(home.study("begun").journal)
    return home


@pytest.fixture
def tracker():
    return FakeTracker()


@pytest.fixture
def write(home, tmp_path, tracker):
    def write(*names, target=tmp_path / "report.html", overwrite=False, notify=print, **more):
        return write_report(
            home,
            names,
            target=target,
            overwrite=overwrite,
            data_dir=None,
            tracker=tracker,
            notify=notify,
            **more,
        )

    return write


def records_of(home, name):
    return [r for r in read_journal(home.study(name).journal) if isinstance(r, ReportWritten)]


@pytest.mark.slow
def test_a_report_is_written_whole_and_nothing_beside_it(write, tmp_path):
    written = write("one")
    assert written.file.read_bytes().startswith(b"<!DOCTYPE html>")
    assert written.size == written.file.stat().st_size
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


@pytest.mark.slow
def test_folders_on_the_way_are_made(write, tmp_path):
    target = tmp_path / "reports" / "2026" / "one.html"
    assert write("one", target=target).file == target


@pytest.mark.slow
def test_the_report_is_recorded_with_each_study_and_brought_to_mlflow(home, write, tracker):
    written = write("one", "two", "one")
    assert (written.studies, written.waiting) == (("one", "two"), 0)
    digest = hashlib.sha256(written.file.read_bytes()).hexdigest()
    for name in ("one", "two"):
        [record] = records_of(home, name)
        assert (record.file, record.sha256) == (str(written.file), digest)
    assert tracker.synced == ["one", "two"]


@pytest.mark.slow
def test_the_file_is_there_before_mlflow_is_asked(write, tracker):
    seen = []
    write("one", on_written=lambda written: seen.append((written.file.exists(), *tracker.synced)))
    assert seen == [(True,)]


@pytest.mark.slow
def test_a_study_that_runs_is_left_to_itself(home, write, tracker):
    told = []
    with StudyLock(home.study("one").lock):
        written = write("one", notify=told.append)
    assert "The study is still running" in written.file.read_text()
    assert "study one is running" in told[0]
    assert records_of(home, "one") == tracker.synced == []


def test_a_running_study_without_a_complete_trial_is_to_be_followed(home, write):
    with (
        StudyLock(home.study("begun").lock),
        pytest.raises(FoldwiseError, match="It is running, and `foldwise watch begun` follows it"),
    ):
        write("begun")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("onee",), "did you mean one?"),
        (("begun",), r"needs a complete trial; study 'begun' has none \(1 running\)"),
        (("one", "begun"), "study 'begun' has none"),
    ],
)
def test_a_study_that_cannot_be_reported_on_is_told(write, tmp_path, names, words):
    with pytest.raises(FoldwiseError, match=words):
        write(*names)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_is_no_target(write, tmp_path):
    with pytest.raises(SettingsError, match="must be a file"):
        write("one", target=tmp_path)


@pytest.mark.slow
def test_a_file_that_is_there_is_kept_unless_told_otherwise(write, tmp_path):
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(SettingsError, match="`--overwrite`"):
        write("one")
    assert target.read_text() == "mine"
    assert write("one", overwrite=True).size > 1_000_000


def test_a_target_below_a_file_is_told(write, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write("one", target=tmp_path / "file" / "report.html")


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_the_old_report(home, write, small_disk):
    disk = small_disk(512)
    target = disk / "report.html"
    target.write_text("old")
    with pytest.raises(SettingsError, match="No space left on device"):
        write("one", target=target, overwrite=True)
    assert target.read_text() == "old"
    assert list(disk.iterdir()) == [target]
