"""Run the notebooks of docs and write them with what they show: `make notebooks`.

Each runs in a folder of its own that is deleted afterwards. Plotly's figures become pictures, which
show wherever the notebook is read.
"""

import argparse
import base64
import json
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from plotly.offline import get_plotlyjs

from tests.browser.visitor import find_browser, visiting

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTEBOOKS = ("tour.ipynb", "from-memory.ipynb")
LARGEST = 300_000  # bytes of a notebook with its outputs
TIMEOUT = 300  # seconds of a cell
SIZE = 760, 420  # pixels of a figure
_DRAW = """([figure, width, height]) =>
    Plotly.newPlot("figure", figure.data, {...figure.layout, width, height}, {staticPlot: true})"""
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
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def draw(notebook: nbformat.NotebookNode) -> None:
    """Put a picture in the place of each Plotly figure, drawn by an installed browser.

    Raises:
        NotFit: there is no browser.
    """
    browser = find_browser()
    if browser is None:
        raise NotFit("a browser, Chromium or Chrome, must be installed to draw figures")
    with visiting(browser, *SIZE) as visitor:
        visitor.page.set_content('<body style="margin:0"><div id="figure"></div>')
        visitor.page.add_script_tag(content=get_plotlyjs())
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                if _PLOTLY in output.get("data", {}):
                    visitor.page.evaluate(_DRAW, [output.data[_PLOTLY], *SIZE])
                    picture = visitor.page.screenshot()
                    output.data = nbformat.from_dict(
                        {
                            "image/png": base64.b64encode(picture).decode(),
                            "text/plain": "<Plotly figure>",
                        }
                    )


def faults(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what must not be in a delivered notebook, a sentence each."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            text = json.dumps(output)
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell {number} shows an error or a warning: {text[:300]}")
            if "text/plain" in output.get("data", {}) and not output.data["text/plain"].strip():
                found.append(f"cell {number} shows something empty: {text[:300]}")
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
        NotFit: one shows what must not be in a delivered notebook, into which it is not written.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NOTEBOOKS, metavar="NAME")
    parser.add_argument("--out", type=Path, help="write them there, and keep what they made there")
    asked = parser.parse_args()
    for name in asked.names:
        with tempfile.TemporaryDirectory() as folder:
            done = execute(DOCS / name, asked.out or Path(folder))
        if asked.out is None:
            draw(done)
        found = faults(done)
        if asked.out or not found:
            nbformat.write(done, (asked.out or DOCS) / name)
        if found:
            raise NotFit(f"{name}: {'; '.join(found)}")


if __name__ == "__main__":
    main()
