"""Take the documentation's pictures anew, of real studies: terminal, report, MLflow's pages.

    python docs/figures.py [terminal] [report] [mlflow]

It needs Fashion-MNIST and a browser, and half an hour on two cores the first time; studies are kept
in `build/figures` and continued. Notebooks are run by their own script.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from docs.recording import drawn, record
from search.studies import known_study, study_history
from tests.browser.visitor import find_browser, visiting
from tracking.home import DEFAULT_HOME, Home
from tracking.mlflow.description import run_name, trial_name

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
FOLDER = ROOT / "build" / "figures"  # commands run in it, as a user's would, so none shows its path
HOME = FOLDER / DEFAULT_HOME
FOLDWISE = (sys.executable, "-m", "search")
ASKED = ("--limit-samples", "6000", "--folds", "5", "--epochs", "4", "--trials", "24")
SPACES = ("lenet", "mlp")
COMMAND = "foldwise run --space lenet --trials 8 --folds 3 --epochs 3 --limit-samples 3000"
SIZE = (1160, 1940)  # down to the search's history


def main() -> None:
    """Take the pictures that are asked for, or all."""
    takers = {"terminal": terminal, "report": report, "mlflow": mlflow}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="*", choices=[[], *takers], help="all if none is named")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in parser.parse_args().pictures or takers:
        takers[name]()


def terminal() -> None:
    """Record the README's first command, in a home directory with nothing but data."""
    with tempfile.TemporaryDirectory(
        prefix="f"
    ) as name:  # short, so that no line with it is broken
        folder = Path(name)
        pictures = record(COMMAND, folder, columns=100, lines=34, **at_home(folder))
    (IMAGES / "recording.svg").write_text(drawn(pictures, columns=100, lines=34, speed=6.0))


def report() -> None:
    """Show the top of a study's report."""
    search("lenet")
    page = FOLDER / "report.html"
    foldwise("report", "lenet", "--out", page.name, "--overwrite")
    browser = find_browser()
    if browser is None:
        sys.exit("no browser is installed")
    with visiting(browser, *SIZE) as visitor:
        visitor.page.goto(page.as_uri())
        expect(visitor.page.locator(".main-svg").first).to_be_visible()
        visitor.page.screenshot(path=IMAGES / "report.png", animations="disabled")


def mlflow() -> None:
    """Have the tests' browser take MLflow's pages."""
    for space in SPACES:
        search(space)
    history = known_study(Home(HOME), "lenet")[1]
    best = history.best()
    if best is None:
        sys.exit("no trial of lenet is complete")
    pictures = (sys.executable, "-m", "tests.browser.pictures", str(HOME), "--study", "lenet")
    trial = ("--trial", run_name(trial_name(best), history.known_study()))
    subprocess.run([*pictures, *trial, "--beside", *SPACES[1:]], check=True, cwd=ROOT)


def search(space: str) -> None:
    """Search a space of Fashion-MNIST, or go on where the last call ended, until it is complete."""
    found = Home(HOME).studies().get(space)
    end = None if found is None else study_history(found).last_end
    if end is not None and end.reason == "complete":
        return
    foldwise("run", "--study", space, "--space", space, "--dataset", "fashion_mnist", *ASKED)


def foldwise(*arguments: str) -> None:
    """Run a command of this project in the figures' folder, which is the user's home directory."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    variables = dict(os.environ) | at_home(FOLDER) | {"PATH": path, "SEARCH_DATA_DIR": "data"}
    subprocess.run([*FOLDWISE, *arguments], check=True, cwd=FOLDER, env=variables)


def at_home(folder: Path) -> dict[str, str]:
    """Return the environment of a user whose home directory is a folder with the data in it.

    Raises:
        SystemExit: SEARCH_DATA_DIR does not say where Fashion-MNIST is.
    """
    data = os.environ.get("SEARCH_DATA_DIR")
    if data is None:
        sys.exit("SEARCH_DATA_DIR must be the folder that holds fashion_mnist")
    link = folder / "data"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(data).resolve())
    return {"HOME": str(folder), "SEARCH_DATA_DIR": str(link)}


if __name__ == "__main__":
    main()
