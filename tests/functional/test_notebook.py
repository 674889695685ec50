import subprocess
import sys

import nbformat
import pytest

from tests.notebooks import DOCS, NOTEBOOKS, faults


def run_notebook(name, folder):
    """Run a notebook from top to bottom in a folder, and return all that it shows."""
    # In another process: an event loop that is left over would keep browsers from being driven.
    command = [sys.executable, "-m", "tests.notebooks", name, "--out", str(folder)]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(folder / name, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def texts_of(outputs):
    shown = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join([output.get("text", "") for output in outputs] + shown)


@pytest.mark.slow
def test_the_tour_runs_from_top_to_bottom(tmp_path):
    outputs = run_notebook("tour.ipynb", tmp_path)
    drawn = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(drawn) == 1
    texts = texts_of(outputs)
    assert "8 trials, best 0." in texts
    assert "<model of trial" in texts
    assert "predicted [0 1" in texts
    assert (tmp_path / "tour-model" / "MODEL_CARD.md").is_file()


@pytest.mark.slow
def test_data_and_functions_of_a_notebook_are_searched_from_top_to_bottom(tmp_path):
    texts = texts_of(run_notebook("from-memory.ipynb", tmp_path))
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
def test_notebooks_are_delivered_with_clean_outputs(name):
    notebook = nbformat.read(DOCS / name, as_version=4)
    assert faults(notebook) == []
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (nbformat.v4.new_output("stream", name="stderr", text="careful"), "a warning"),
        (nbformat.v4.new_output("stream", text="in /home/ada/mlruns"), "a folder"),
        (nbformat.v4.new_output("stream", text="x" * 400_000), "bytes"),
    ],
)
def test_outputs_that_are_not_for_others_are_found(output, fault):
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    assert fault in " ".join(faults(nbformat.v4.new_notebook(cells=[cell])))
    assert "nothing" in " ".join(faults(nbformat.v4.new_notebook()))
