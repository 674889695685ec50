from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"


def test_the_tour_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(TOUR, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,  # seconds a cell
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    done = client.execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
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
