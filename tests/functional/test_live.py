"""What a running study shows on a terminal, in a pipe and in a notebook."""

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import nbformat
import pytest

from tests.functional.conftest import TINY, held

pytestmark = pytest.mark.slow

LONG = ("run", *TINY, "--study", "toy", "--no-baselines", "--pruner", "none", "--trials", "2")
LONG += ("--epochs", "300", "--executor", "local", "--workers", "1")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of its own, and all that it wrote."""

    def __init__(self, user, columns, *arguments):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        environment = user.environment | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search", *arguments],
            cwd=user.folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._ours, self._written = ours, b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                some = os.read(self._ours, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # nobody has the other end open
                    return
                raise
            if not some:
                return
            self._written += some

    @property
    def text(self):
        return CODES.sub("", self._written.decode(errors="replace"))

    @property
    def lines(self):
        return [line.rstrip() for line in re.split(r"[\r\n]+", self.text)]

    def wait(self):
        code = self.process.wait(timeout=300)
        self._reader.join()
        os.close(self._ours)
        return code


@pytest.mark.parametrize("columns", [100, 60])
def test_a_terminal_shows_what_goes_on_and_nothing_is_torn(user, columns, wait_for):
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    terminal = Terminal(user, columns, *LONG)
    wait_for(lambda: journal.exists() and '"EpochEnded"' in journal.read_text(errors="replace"))
    row = re.compile(r"^ +0 +1/2 +\d+/300 +[01]\.\d{4}", re.MULTILINE)
    with held(terminal.process):
        wait_for(lambda: row.search(terminal.text.replace("\r", "\n")))
        wait_for(lambda: re.search(r"elapsed [\dhms. ]+  left \S+", terminal.text))
    assert terminal.wait() == 0, terminal.text
    lines = terminal.lines
    commands = next(n for n, line in enumerate(lines) if line.startswith("Show  "))  # to be copied
    assert max(map(len, lines[:commands])) <= columns
    for stage in ("reading the data", "loading TensorFlow", "bringing the last records to MLflow"):
        assert stage in terminal.text
    assert "trial  fold  epoch  accuracy" in terminal.text
    assert "leading  trial 0  " in terminal.text
    assert [line for line in lines if re.match(r"trial 1   [01]\.\d{4} ± ", line)]
    assert "Best accuracy so far, by trial" in lines


def test_a_pipe_hears_of_each_stage(user):
    done = user(*LONG[:-8], "--trials", "2", "--epochs", "3")
    assert done.code == 0, done.err
    lines = [line.split("  ")[0] for line in done.err.splitlines()]
    heads = ["reading the data", "plan", "loading TensorFlow", "training", "time"]
    places = [lines.index(head) for head in heads]
    assert places == sorted(places)
    assert lines[-1] == "bringing the last records to MLflow"
    assert "\x1b" not in done.err


NOTEBOOK = """
from search import progress, run_study
result = run_study("mlp", dataset="digits", folds=2, epochs=3, limit_samples=200, trials=3,
                   baselines=False, pruner="none", display=progress)
"""

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

class Client(NotebookClient):
    updates = 0
    def process_message(self, message, cell, index):
        self.updates += message["header"]["msg_type"] == "update_display_data"
        return super().process_message(message, cell, index)

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.argv[1])])
client = Client(notebook, timeout=300, kernel_name="python3")
client.execute()
notebook.metadata["updates"] = client.updates
nbformat.write(notebook, "done.ipynb")
"""


def test_a_notebook_has_one_output_that_is_updated_in_place(user):
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK],
        cwd=user.folder,
        env=user.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(user.folder / "done.ipynb", as_version=4)
    [shown] = [o for o in notebook.cells[0].outputs if o.output_type == "display_data"]
    printed = "".join(o.get("text", "") for o in notebook.cells[0].outputs)
    assert "trial" not in printed  # nothing but warnings
    html, text = shown.data["text/html"], shown.data["text/plain"]
    assert notebook.metadata["updates"] > 3
    assert "New study mlp-digits: space mlp, 200 training samples of digits" in html
    assert "3 of 3 trials" in html
    assert "best so far  trial" in html
    assert "<svg" in html
    assert len(re.findall(r"M[\d.]+ [\d.]+h0", html)) == 3  # dots
    assert re.match(r"3 of 3 trials, 0 pruned, best so far  trial \d  0\.\d{4}", text)
    assert "done, elapsed" in text
