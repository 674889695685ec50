import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from search.errors import SettingsError
from search.quiet import check_backend

TORCH = {"KERAS_BACKEND": "torch"}


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """Return a folder that Keras would read its own file from; nothing else names a backend."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    return tmp_path


def write(folder, document):
    (folder / "keras.json").write_text(
        document if isinstance(document, str) else json.dumps(document)
    )


def test_without_any_word_of_a_backend_it_is_tensorflow(keras_home, monkeypatch):
    check_backend()
    for document in ("", "no JSON", [], {"floatx": "float32"}, {"backend": "tensorflow"}):
        write(keras_home, document)
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "")  # which Keras takes as not set
    check_backend()


@pytest.mark.parametrize("backend", ["torch", "jax", "numpy", "openvino"])
def test_another_backend_is_refused_with_where_it_is_named(keras_home, monkeypatch, backend):
    write(keras_home, {"backend": backend})
    with pytest.raises(SettingsError, match=f"got '{backend}', from {keras_home}/keras.json"):
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # it takes precedence
    check_backend()
    write(keras_home, {"backend": "tensorflow"})
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(
        SettingsError, match=f"got '{backend}', from .*KERAS_BACKEND. Enter `export"
    ):
        check_backend()


def test_what_keras_was_imported_with_counts(keras_home, monkeypatch):
    config = SimpleNamespace(backend=lambda: "jax")
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(config=config))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(SettingsError, match="got 'jax', which this Python has imported Keras with"):
        check_backend()


@pytest.mark.slow
def test_a_search_with_another_backend_ends_before_anything_is_written_or_imported(tmp_path):
    code = (
        "import sys; sys.argv[1:] = ['run', '--space', 'lenet', '--dataset', 'digits'];"
        "import atexit; atexit.register(lambda: print({'tensorflow', 'keras'} & set(sys.modules)));"
        "from search.cli.app import run; run()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **TORCH, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "Keras's backend must be tensorflow" in ran.stderr
    assert ran.stdout.strip() == "set()"
    assert not list(tmp_path.iterdir())
