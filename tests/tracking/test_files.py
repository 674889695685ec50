"""Files appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.studies import StudyBuilder
from tracking.event_log import EventLog
from tracking.files import beside, private_file, sync_folder, temporary_files, whole_file
from tracking.history import History
from tracking.home import Home


def test_a_file_appears_when_all_is_written_and_what_was_there_stays_until_then(tmp_path):
    path = tmp_path / "plans.json"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        assert len(temporary_files(tmp_path)) == 1
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("to_disk", [True, False])
def test_writing_that_fails_leaves_everything_as_it_was(tmp_path, to_disk):
    path = tmp_path / "folds.npz"
    path.write_bytes(b"old")

    def write_half() -> None:
        with whole_file(path, to_disk=to_disk) as file:
            file.write(b"ne")
            raise ValueError("half of it")

    with pytest.raises(ValueError, match="half"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_may_write_the_same_file_at_once(tmp_path):
    path = tmp_path / "report.html"
    with whole_file(path) as first, whole_file(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # it was whole last


def test_temporary_files_are_told_from_others(tmp_path):
    kept = beside(tmp_path / ("long " * 60))
    for path in (kept, tmp_path / ".hidden", tmp_path / "folds.npz", tmp_path / ".a.1a2b3c4"):
        path.touch()
    assert temporary_files(tmp_path) == [kept]


@pytest.fixture
def forced(monkeypatch):
    """The paths, in order, that the disk was asked to confirm, and what they held."""
    found, fsync = [], os.fsync

    def note(file):
        path = Path(f"/proc/self/fd/{file}").readlink()
        names = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
        found.append((path, names))
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    return found


def test_a_file_that_must_be_on_the_disk_is_there_with_its_name(tmp_path, forced):
    with whole_file(tmp_path / "folds.npz") as file:
        file.write(b"new")
    assert (tmp_path, {"folds.npz"}) in forced
    forced.clear()
    with whole_file(tmp_path / "cache.npy", to_disk=False) as file:
        file.write(b"new")
    assert forced == []


def test_the_folders_of_a_new_study_are_on_the_disk_before_its_first_record(tmp_path, forced):
    folder = Home(tmp_path / "mlruns").study("toy")
    with EventLog.open(folder, History) as log:
        named = {path / name for path, names in forced for name in names}
        assert {folder.root, folder.root.parent, tmp_path / "mlruns", folder.journal} <= named
        forced.clear()
        log.append(StudyBuilder().records[0])
        assert [path for path, _ in forced] == [folder.journal]
    forced.clear()
    with EventLog.open(folder, lambda: History.of(StudyBuilder().records)):
        assert forced == []  # all were there


def test_a_damaged_end_is_in_its_own_file_before_it_is_cut_off(tmp_path, forced):
    folder = Home(tmp_path).study("toy")
    StudyBuilder().write(folder.journal)
    with folder.journal.open("ab") as file:
        file.write(b"half a line")
    with EventLog.open(folder, History) as log:
        assert log.dropped == 11
    paths = [path for path, _ in forced]
    dropped = folder.root / "journal.jsonl.dropped"
    assert paths.index(dropped) < paths.index(folder.root) < paths.index(folder.journal)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_does_not_force_folders_is_good_enough(tmp_path, monkeypatch, code):
    def refuse(file):
        raise OSError(code, "not here")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)


def test_a_disk_that_does_not_confirm_a_name_is_told(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)


def test_a_private_file_is_its_users_alone_and_keeps_what_it_has(tmp_path):
    path = tmp_path / "worker.log"
    path.write_text("old ")
    path.chmod(0o644)
    descriptor = private_file(path)
    os.write(descriptor, b"new")
    os.close(descriptor)
    assert path.read_text() == "old new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_device_stays_open_to_all():
    before = Path(os.devnull).stat().st_mode
    os.close(private_file(Path(os.devnull)))
    assert Path(os.devnull).stat().st_mode == before
