import hashlib
import os
import threading

import pytest

from search.errors import DataError, SettingsError
from search.executors.ray.bundles import VARIABLE, Bundle, cache_root, place, scratch

CONTENT = {"a.npy": b"one" * 5, "code/b.py": b"two", "empty": b""}
BUNDLE = Bundle(
    hashlib.sha256(b"some").hexdigest(), tuple((name, len(c)) for name, c in CONTENT.items())
)


class Source:
    """Hands out a bundle's files in pieces of two bytes; counts how often it is asked."""

    def __init__(self, fails_after: int = 1000) -> None:
        self.asked = 0
        self._left = fails_after

    def __call__(self, bundle):
        self.asked += 1
        for name, content in CONTENT.items():
            for start in range(0, max(1, len(content)), 2):
                self._left -= 1
                if self._left < 0:
                    raise ConnectionError("the coordinator is gone")
                yield name, content[start : start + 2]


def found_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_that_come_in_pieces_are_whole_in_their_folder(tmp_path):
    assert found_in(place(BUNDLE, tmp_path, Source())) == CONTENT


def test_what_is_there_is_not_fetched_again(tmp_path):
    source = Source()
    first = place(BUNDLE, tmp_path, source)
    assert place(BUNDLE, tmp_path, source) == first
    assert source.asked == 1


def test_of_several_workers_at_once_one_fetches(tmp_path):
    source, start = Source(), threading.Barrier(8)

    def work() -> None:
        start.wait()
        assert found_in(place(BUNDLE, tmp_path, source)) == CONTENT

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked == 1


def test_a_worker_that_dies_while_it_fetches_leaves_nothing(tmp_path):
    with pytest.raises(ConnectionError):
        place(BUNDLE, tmp_path, Source(fails_after=3))
    assert [path.name for path in tmp_path.iterdir()] == [f"{BUNDLE.digest}.lock"]
    assert found_in(place(BUNDLE, tmp_path, Source())) == CONTENT


def test_a_damaged_copy_is_fetched_again(tmp_path):
    (place(BUNDLE, tmp_path, Source()) / "a.npy").write_bytes(b"torn")
    assert found_in(place(BUNDLE, tmp_path, Source())) == CONTENT


def test_other_content_than_was_announced_is_refused(tmp_path):
    with pytest.raises(DataError, match="did not arrive as they were announced"):
        place(BUNDLE, tmp_path, lambda bundle: [("a.npy", b"short")])
    assert not (tmp_path / BUNDLE.digest).exists()


def test_a_scratch_folder_is_gone_afterwards_and_those_of_dead_workers_at_the_next(tmp_path):
    (tmp_path / "worker-dead").mkdir()
    (tmp_path / "worker-dead" / "lock").touch()
    (tmp_path / "worker-half").mkdir()
    with scratch(tmp_path) as mine:
        with scratch(tmp_path) as other:
            assert {path.name for path in tmp_path.glob("worker-*")} == {mine.name, other.name}
        assert not other.exists()
        assert mine.exists()
    assert not mine.exists()


def test_the_cache_is_where_the_variable_says_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    assert cache_root() == tmp_path / "cache"
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_cache_of_somebody_elses_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 123_456)
    with pytest.raises(SettingsError, match=f"must belong to the user.*{VARIABLE}"):
        cache_root()


def test_what_a_fetch_left_that_was_ended_is_removed_by_the_next(tmp_path):
    left = tmp_path / f".{BUNDLE.digest}.1a2b3c4d"
    left.mkdir()
    (left / "a.npy").write_bytes(b"on")
    other = tmp_path / ".0123.1a2b3c4d"
    other.mkdir()
    folder = place(BUNDLE, tmp_path, Source())
    assert (folder.exists(), left.exists(), other.exists()) == (True, False, True)
