import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"


# In a process of its own: an event loop that is left over would keep browsers from being driven.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, "done.ipynb")
"""


def test_the_tour_runs_from_top_to_bottom(tmp_path):
    command = [sys.executable, "-c", EXECUTE, str(TOUR)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    drawn = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(drawn) == 2
    texts = "".join(output.get("text", "") for output in outputs)
    assert "8 trials, best 0." in texts
    assert "opened 1 times" in texts
    assert (tmp_path / "tour-model" / "MODEL_CARD.md").is_file()


def test_the_tour_is_kept_without_outputs():
    cells = nbformat.read(TOUR, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
