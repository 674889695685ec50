"""Files appear whole or not at all."""

import pytest

from tracking.files import beside, temporary_files, whole_file


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
