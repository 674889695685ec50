"""Where things lie in a home folder: the one module that knows every file name."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tracking.files import temporary_files

DEFAULT_HOME = Path("mlruns")
MAX_NAME_BYTES = 120

# Beside a journal, by what is added to its name.
END, DROPPED, DAMAGED, BEFORE_REPAIR = ".end", ".dropped", ".damaged", ".before-repair"

# In the folder of an exported model.
MODEL, METRICS, LABELS, CARD = "model.keras", "metrics.json", "labels.json", "MODEL_CARD.md"
RELIABILITY = "reliability.png"  # of an exported model, on the test set
REPORT = "report.html"  # as MLflow keeps it


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study."""

    root: Path

    @property
    def journal(self) -> Path:
        """The study's records."""
        return self.root / "journal.jsonl"

    @property
    def folds(self) -> Path:
        """The fold indices."""
        return self.root / "folds.npz"

    @property
    def shipped(self) -> Path:
        """How far MLflow has been told, one file for each tracking address."""
        return self.root / "shipped.json"

    def worker_log(self, number: int = 1) -> Path:
        """What TensorFlow had to say in the worker of a number, from 1."""
        return self.root / ("worker.log" if number == 1 else f"worker-{number}.log")

    @property
    def lock(self) -> Path:
        """Held while a process runs the study."""
        return self.root / "lock"

    @property
    def learned(self) -> Path:
        """What the study learned from earlier ones; absent where it learned nothing."""
        return self.root / "learned.json"

    @property
    def confirmation_folds(self) -> Path:
        """Index arrays of the folds that confirm trials; absent until a study confirms one."""
        return self.root / "further_folds.npz"

    def predictions(self, trial: int, fold: int) -> Path:
        """Out-of-fold predictions of one fold of one trial."""
        return self.all_predictions / f"trial-{trial:05d}-fold-{fold:02d}.npz"

    @property
    def all_predictions(self) -> Path:
        """The folder of predictions."""
        return self.root / "predictions"

    def checkpoint(self, trial: int, fold: int) -> Path:
        """The state of a model whose training on one fold of one trial has paused."""
        return self.checkpoints / f"trial-{trial:05d}-fold-{fold:02d}.npz"

    @property
    def checkpoints(self) -> Path:
        """The folder of these; there only while trials wait."""
        return self.root / "checkpoints"

    @property
    def requests(self) -> Path:
        """The folder of what users enqueue, a file each until the study's process has it."""
        return self.root / "enqueued"

    @property
    def stop_request(self) -> Path:
        """Asks the process that runs the study to end; there only for as long as one does."""
        return self.root / "stop"

    def leftovers(self) -> list[Path]:
        """Return the temporary files in the folder: being written, or left by a crash."""
        folders = (self.root, self.all_predictions, self.checkpoints, self.requests)
        inside = [path for folder in folders for path in temporary_files(folder)]
        return sorted([*self.root.glob("*.tmp"), *inside])


@dataclass(frozen=True)
class Home:
    """The folder everything is kept in."""

    root: Path

    @property
    def database(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def server_log(self) -> Path:
        """What MLflow's server had to say while `ui` served its pages."""
        return self.root / "mlflow-server.log"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "artifacts"

    @property
    def datasets(self) -> Path:
        """Datasets as arrays that processes map, a folder each."""
        return self.root / "datasets"

    @property
    def declarations(self) -> Path:
        """What was learned of KerasTuner hypermodels, for the next time."""
        return self.root / "declarations"

    @property
    def plans(self) -> Path:
        """How fast this machine was in which way, for the next study."""
        return self.root / "plans.json"

    @property
    def tracking_uri(self) -> str:
        """MLflow's address of the database."""
        return f"sqlite:///{self.database.resolve()}"

    def study(self, name: str) -> StudyFolder:
        """Return the study's files; any name stays inside the home.

        Raises:
            ValueError: the name is empty, too long for a folder, or no name on a command line.
        """
        if not name.strip():
            raise ValueError("a study's name must not be empty")
        if name.startswith("-") or any(unicodedata.category(sign) == "Cc" for sign in name):
            raise ValueError(
                "a study's name must not begin with a dash, which commands would take for an"
                f" option, and have no control characters; got {name[:40]!r}"
            )
        folder = folder_name(name)
        if len(folder.encode()) > MAX_NAME_BYTES:
            raise ValueError(
                f"a study's name must fit in {MAX_NAME_BYTES} bytes; {name[:40]!r}... takes"
                f" {len(folder.encode())}. Choose a shorter one."
            )
        return StudyFolder(self.root / "studies" / folder)

    def studies(self) -> dict[str, StudyFolder]:
        """Return all studies by name, in the order of their names."""
        root = self.root / "studies"
        found = sorted(path.parent for path in root.glob("*/journal.jsonl"))
        return {unquote(path.name): StudyFolder(path) for path in found}

    def leftovers(self) -> list[Path]:
        """Return the temporary files beside the studies: being written, or left by a crash."""
        folders = (self.root, *self.datasets.glob("[!.]*/"))
        inside = [path for folder in folders for path in temporary_files(folder)]
        return sorted([*self.datasets.glob(".new-*"), *inside, *self.declarations.glob("tmp*")])


def folder_name(name: str) -> str:
    """Return `name` as that of one folder, whatever characters it has; `unquote` undoes it."""
    folder = quote(name, safe=" +=@,()")
    return f"%2E{folder[1:]}" if folder.startswith(".") else folder  # `.`, `..`, hidden folders


def beside(journal: Path, ending: str) -> Path:
    """Return a file that stands beside a journal, by `END`, `DROPPED`, `DAMAGED` or others."""
    return journal.with_name(journal.name + ending)


def home_of(journal: Path) -> Path:
    """Return the home of a study's journal."""
    return journal.parent.parent.parent
