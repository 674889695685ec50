"""`mlflow models serve` answers for the registered champion, over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits

from search.encoding import ImageEncoder, TextEncoder
from search.model_folder import Labels, ModelFolder
from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.history import History
from tracking.records import ModelExported

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(database: Path, model: str, folder: Path):
    """Serve a registered model's champion; yield a function that asks it for an answer."""
    port = free_port()
    told = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{database}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PATH": f"{BIN}:{os.environ['PATH']}",  # MLflow starts its server by name
        "HOME": str(folder),
    }
    command = [BIN / "mlflow", "models", "serve", "-m", f"models:/{model}@champion"]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=os.environ | told, cwd=folder, stdout=out, stderr=out
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 180
        while not is_up(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield lambda inputs: ask(address, inputs)
    finally:
        started = [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in started:
            os.kill(one.pid, signal.SIGTERM)
        psutil.wait_procs([one for one in started if one is not process], timeout=30)
        process.wait(30)


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def ask(address: str, inputs: object) -> np.ndarray:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"inputs": inputs}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return np.array(json.loads(reply.read())["predictions"])
    except urllib.error.HTTPError as error:
        pytest.fail(error.read().decode())


def test_the_champion_of_a_study_of_images_is_served(finished, tmp_path):
    user, _ = finished
    exported = user("export", "toy", "--to", "served", "--json")
    assert exported.code == 0, exported.err
    assert exported.json["export"]["alias"] == "champion"

    digits = load_digits()
    images = (digits.images[:40, ..., np.newaxis] * 255 / 16).astype(np.uint8)
    encoded = ImageEncoder((8, 8, 1), (32, 32, 1)).encode(images)
    with served(user.folder / "mlruns" / "mlflow.db", "toy", tmp_path) as answer:
        found = answer(encoded.tolist())
    assert found.shape == (40, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    right = (found.argmax(axis=1) == digits.target[:40]).mean()
    assert right == pytest.approx(exported.json["test"]["accuracy"], abs=0.3)


@pytest.fixture
def texts(tmp_path):
    """A study with an exported model of texts, some texts, and what should be said of them."""
    from keras import Sequential, layers

    from search.formats import Samples, chosen_formats
    from search.formats.writing import exportable, write_formats

    labels = Labels(("bad", "good", "odd"), TextEncoder(("good", "bad", "it's"), 6, 8))
    model = Sequential(
        [
            layers.Input((6,), dtype="int32"),
            layers.Embedding(8, 4),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    said = ["good, GOOD film!", "", "IT'S bad?", "日本 good"]
    tokens = labels.encoder.encode(said)
    folder = tmp_path / "export"
    folder.mkdir()
    made = exportable(model, labels, Samples(said, tokens))
    written = write_formats(chosen_formats("saved_model"), made, folder, log=tmp_path / "log")
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.records[0].dataset["kind"] = "text"
    study.add(
        ModelExported,
        trial=0,
        folder=str(folder),
        model_sha256=ModelFolder(folder).model_sha256(),
        curves=[],
        train_seconds=1.0,
        model_parameters=9,
        requirements=["tensorflow==2.21.0"],
        formats=[each.to_json() for each in written],
    )
    return study, said, np.asarray(model(tokens))


def test_raw_texts_go_into_the_champion_of_a_study_of_texts(texts, tmp_path):
    study, said, expected = texts
    tracked = Tracked(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    sink, history = tracked.sink(), History()
    for record in study.records:
        sink.apply(history.add(record), history)
    with served(tmp_path / "mlflow.db", "lenet-digits", tmp_path) as answer:
        np.testing.assert_allclose(answer(said), expected, atol=1e-6)
    assert not list(tmp_path.rglob("*.pkl"))
