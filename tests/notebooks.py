"""Run the notebooks of docs and write them with what they show: `make notebooks`.

Each runs in a folder of its own that is deleted afterwards.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTEBOOKS = ("tour.ipynb", "from-memory.ipynb")
LARGEST = 300_000  # bytes of a notebook with its outputs
TIMEOUT = 300  # seconds of a cell
_PLOTLY = "application/vnd.plotly.v1+json"
_PLACES = re.compile(r"/(tmp|root|home|work|Users|usr)/|[A-Z]:\\\\")


class NotFit(Exception):
    """A notebook that must not be delivered like this."""


def execute(source: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a folder; return it with its outputs.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(source, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources=resources,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            _make_small(output)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def _make_small(output: nbformat.NotebookNode) -> None:
    """Leave out of a Plotly figure what has the whole library in it."""
    if _PLOTLY in output.get("data", {}):
        output.data.pop("text/html", None)


def faults(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what must not be in a delivered notebook, a sentence each."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            text = json.dumps(output)
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell {number} shows an error or a warning: {text[:300]}")
            for place in _PLACES.finditer(text):
                around = text[max(0, place.start() - 60) : place.end() + 60]
                found.append(f"cell {number} shows a folder of this machine: {around}")
    if not any(cell.get("outputs") for cell in notebook.cells):
        found.append("nothing is shown: run `make notebooks`")
    size = len(nbformat.writes(notebook))
    if size > LARGEST:
        found.append(f"it has {size:,} bytes, more than {LARGEST:,}")
    return found


def main() -> None:
    """Run notebooks and write them.

    Raises:
        NotFit: one shows what must not be in a delivered notebook; it is not written.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NOTEBOOKS, metavar="NAME")
    parser.add_argument("--out", type=Path, help="write them there, and keep what they made there")
    asked = parser.parse_args()
    for name in asked.names:
        with tempfile.TemporaryDirectory() as folder:
            done = execute(DOCS / name, asked.out or Path(folder))
        found = faults(done)
        if found:
            raise NotFit(f"{name}: {'; '.join(found)}")
        nbformat.write(done, (asked.out or DOCS) / name)


if __name__ == "__main__":
    main()
