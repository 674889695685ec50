import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = ("tour.ipynb", "from-memory.ipynb")


# In a process of its own: an event loop that is left over would keep browsers from being driven.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, "done.ipynb")
"""


def outputs_of(name, folder):
    """Run a notebook from top to bottom in a folder, and return all that it shows."""
    command = [sys.executable, "-c", EXECUTE, str(DOCS / name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(folder / "done.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return outputs


def texts_of(outputs):
    shown = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join([output.get("text", "") for output in outputs] + shown)


@pytest.mark.slow
def test_the_tour_runs_from_top_to_bottom(tmp_path):
    outputs = outputs_of("tour.ipynb", tmp_path)
    drawn = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(drawn) == 2
    texts = texts_of(outputs)
    assert "8 trials, best 0." in texts
    assert "opened 1 times" in texts
    assert (tmp_path / "tour-model" / "MODEL_CARD.md").is_file()


@pytest.mark.slow
def test_data_and_functions_of_a_notebook_are_searched_from_top_to_bottom(tmp_path):
    texts = texts_of(outputs_of("from-memory.ipynb", tmp_path))
    assert "<study 'build-table': 4 of 4 trials done" in texts
    assert "<study 'build-table': 5 of 5 trials done" in texts  # continued
    assert "That is another study; this one is called 'build-table-2'" in texts
    assert "test accuracy 0.9" in texts
    assert "['Barbera', 'Barolo', 'Grignolino']" in texts
    assert "groups stay whole" in texts
    assert "<study 'build-digits-in-fours': 2 of 2 trials done" in texts
    assert "2 outer folds, mean 0." in texts
    card = (tmp_path / "digits-model" / "MODEL_CARD.md").read_text()
    assert "a function passed from Python: build (<cell>)" in card


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_kept_without_outputs(name):
    cells = nbformat.read(DOCS / name, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
