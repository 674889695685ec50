"""Files appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tracking.files import beside, make_folder, private_file, temporary_files, whole_file
from tracking.journal import Journal


@pytest.fixture
def durable(monkeypatch):
    """What the disk was asked to confirm, in order: inode numbers."""
    confirmed = []
    fsync = os.fsync

    def confirm(descriptor: int) -> None:
        confirmed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", confirm)
    return confirmed


def inodes(*paths):
    return [path.stat().st_ino for path in paths]


def test_a_file_is_durable_before_its_name_is(tmp_path, durable):
    path = tmp_path / "folds.npz"
    with whole_file(path) as file:
        file.write(b"new")
    assert durable == inodes(path, tmp_path)


def test_new_folders_are_durable_from_the_one_that_was_there_on(tmp_path, durable):
    folder = tmp_path / "studies" / "toy" / "predictions"
    make_folder(folder)
    assert sorted(durable) == sorted(inodes(folder.parent, folder.parent.parent, tmp_path))
    durable.clear()
    make_folder(folder)
    assert durable == []


def test_the_name_of_a_new_journal_is_durable(tmp_path, durable):
    Journal(tmp_path / "journal.jsonl").close()
    assert inodes(tmp_path)[0] in durable
    durable.clear()
    Journal(tmp_path / "journal.jsonl").close()
    assert inodes(tmp_path)[0] not in durable


def test_a_folder_whose_file_system_cannot_confirm_it_is_believed(tmp_path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "fsync", refuse)
    make_folder(tmp_path / "new")
    monkeypatch.setattr(os, "fsync", lambda _: _raise(errno.EIO))
    with pytest.raises(OSError, match="no"):
        make_folder(tmp_path / "newer")


def _raise(number: int) -> None:
    raise OSError(number, "no")


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
