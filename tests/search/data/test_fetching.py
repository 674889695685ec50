"""Downloads and TFDS, which happen in a child process.

Most tests put a stand-in for Keras or TFDS on the child's path: it starts in no time.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.data import DatasetNotFound, load, locate
from search.data.fetch import connect
from search.errors import DataError

COMPLETE = """
import os, numpy as np
def load_data():
    folder = os.path.join(os.environ["KERAS_HOME"], "datasets")
    os.makedirs(folder)
    labels = np.arange(20) % 10
    images = np.zeros((20, 28, 28), np.uint8)
    np.savez(os.path.join(folder, "mnist.npz"), x_train=images, y_train=labels, x_test=images,
             y_test=labels)
"""
DRIPPING = """
import os, time
def load_data():
    with open(os.path.join(os.environ["KERAS_HOME"], "part"), "wb", buffering=0) as file:
        open(PIDS, "w").write(str(os.getpid()))
        for _ in range(PIECES):
            file.write(b"x")
            time.sleep(0.3)
        time.sleep(600)
"""


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the child's own look whether there is a connection."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a module on the child's path, before the installed one."""

    def put(module: str, code: str) -> None:
        *packages, name = module.split(".")
        folder = (tmp_path / "stand-ins").joinpath(*packages)
        folder.mkdir(parents=True, exist_ok=True)
        for depth in range(len(packages)):
            (tmp_path / "stand-ins").joinpath(*packages[: depth + 1], "__init__.py").touch()
        (folder / f"{name}.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand-ins"))

    return put


def failure(home: Path) -> str:
    """Return what the download place reports; nothing of it may be left."""
    with pytest.raises(DatasetNotFound) as caught:
        load("mnist", home=home)
    assert not list((home / "datasets").iterdir())
    assert caught.value.tried[-1].place == "Keras's download"
    return caught.value.tried[-1].reason


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_download_is_kept_and_leaves_nothing_else(
    home: Path, tmp_path: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("keras.datasets.mnist", COMPLETE)
    dataset = load("mnist", home=home)
    assert dataset.source == "Keras's download"
    assert dataset.train_images.shape == (20, 28, 28, 1)
    names = {path.name for path in dataset.folder.iterdir()}
    arrays = {"train_images", "train_labels", "test_images", "test_labels"}
    assert names == {"meta.json", *(f"{name}.npy" for name in arrays)}
    assert list((home / "datasets").iterdir()) == [dataset.folder]
    assert not (tmp_path / "keras").exists()
    assert locate("mnist", home=home) == f"{dataset.folder} (from Keras's download)"
    assert load("mnist", home=home, download=False) == dataset


@pytest.mark.slow
def test_a_failed_download_says_why(home: Path, stand_in: Callable[[str, str], None]) -> None:
    stand_in("keras.datasets.mnist", "def load_data():\n    raise OSError('no route\\nto host')")
    assert failure(home) == "no route to host"


@pytest.mark.slow
def test_a_damaged_download_counts_as_failed(
    home: Path, stand_in: Callable[[str, str], None]
) -> None:
    code = COMPLETE + '    open(os.path.join(folder, "mnist.npz"), "r+b").truncate(900)\n'
    stand_in("keras.datasets.mnist", code)
    reason = failure(home)
    assert reason.startswith("what arrived is damaged:")
    assert "mnist.npz" in reason


@pytest.mark.slow
def test_a_download_of_something_else_counts_as_failed(
    home: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("keras.datasets.mnist", "def load_data(): pass")
    assert "did not download the expected" in failure(home)


@pytest.mark.slow
def test_a_download_that_stalls_is_ended(
    home: Path,
    tmp_path: Path,
    stand_in: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.data.download.STALL_SECONDS", 0.6)
    pids = tmp_path / "pid"
    stand_in("keras.datasets.mnist", f"PIDS, PIECES = {str(pids)!r}, 5\n{DRIPPING}")
    started = time.monotonic()
    assert failure(home) == "nothing arrived for 1 s"
    # Five drips of 0.3 s go on for longer than the stall: as long as it drips it may go on.
    assert time.monotonic() - started > 1.8
    assert not is_running(int(pids.read_text()))


@pytest.mark.slow
def test_a_child_that_never_gets_ready_is_ended(
    home: Path, stand_in: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.download.IMPORT_SECONDS", 0.5)
    stand_in("keras.datasets.mnist", "import time; time.sleep(600)")
    assert failure(home) == "not ready after 0 s"


@pytest.mark.slow
def test_without_a_connection_it_ends_before_keras_is_imported(
    home: Path, stand_in: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("https_proxy")
    # Python imports `sitecustomize` first: in this child no name can be resolved.
    stand_in("keras.datasets.mnist", "raise SystemExit('imported')")
    stand_in(
        "sitecustomize",
        "import socket\ndef none(*a, **k): raise OSError('Name or service not known')\n"
        "socket.getaddrinfo = none\n",
    )
    assert failure(home) == "storage.googleapis.com: Name or service not known"


def test_no_download_is_tried_when_not_allowed(
    home: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("keras.datasets.mnist", COMPLETE)
    with pytest.raises(DatasetNotFound) as caught:
        load("mnist", home=home, download=False)
    assert "Keras's download" not in {missing.place for missing in caught.value.tried}


@pytest.fixture
def tfds_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tfds" / "mnist" / "3.0.1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text("{}")
    return folder


@pytest.mark.slow
def test_tfds_that_cannot_be_imported_is_passed_over(
    home: Path, tfds_folder: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("tensorflow_datasets", "raise ImportError('no such thing here')")
    with pytest.raises(DatasetNotFound) as caught:
        load("mnist", home=home, download=False)
    reasons = [missing.reason for missing in caught.value.tried]
    assert "TFDS cannot be used: no such thing here" in reasons
    assert locate("mnist", home=home) == f"TFDS's {tfds_folder}"


def test_the_highest_version_of_tfds_counts(home: Path, tfds_folder: Path) -> None:
    for version in ("3.0.9", "3.0.10", "3.0.2"):
        tfds_folder.with_name(version).mkdir()
        (tfds_folder.with_name(version) / "dataset_info.json").write_text("{}")
    assert locate("mnist", home=home) == f"TFDS's {tfds_folder.with_name('3.0.10')}"


@pytest.mark.slow
def test_what_tfds_cannot_read_is_damaged(
    home: Path, tfds_folder: Path, stand_in: Callable[[str, str], None]
) -> None:
    code = "def builder_from_directory(path):\n    raise ValueError('bad record')"
    stand_in("tensorflow_datasets", code)
    with pytest.raises(DataError, match=f"{tfds_folder} must be .* bad record.* Delete it"):
        load("mnist", home=home, download=False)


BUSY = """
import time
def builder_from_directory(path):
    end = time.monotonic() + 3
    while time.monotonic() < end:
        WAIT
    raise ValueError("it came to an end")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wait", "fault"), [("pass", "it came to an end"), ("time.sleep(1)", "nothing arrived for 2 s")]
)
def test_computing_is_a_sign_of_life_and_waiting_is_none(
    home: Path,
    tfds_folder: Path,
    stand_in: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    wait: str,
    fault: str,
) -> None:
    monkeypatch.setattr("search.data.download.TFDS_STALL_SECONDS", 1.6)
    stand_in("tensorflow_datasets", BUSY.replace("WAIT", wait))
    with pytest.raises(DataError, match=fault):
        load("mnist", home=home, download=False)


def test_one_host_that_answers_is_connection_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        hosts = [closed.getsockname(), server.getsockname()]
        connect(hosts, 5.0)
        with pytest.raises(OSError, match=r"127\.0\.0\.1: .*refused"):
            connect(hosts[:1], 5.0)


@pytest.mark.slow
def test_a_name_server_that_is_silent_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy")
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answer.wait(10) and [])
    with pytest.raises(OSError, match=r"a\.example, b\.example: no answer"):
        connect([("a.example", 80), ("b.example", 443)], 0.2)
    answer.set()


@pytest.fixture
def silent_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A proxy that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("no_proxy", "")
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("silent_proxy")
def test_kerass_own_download_from_a_silent_network_is_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.download.STALL_SECONDS", 2.0)
    assert failure(home) == "nothing arrived for 2 s"
