"""A study tracked by a real `mlflow server` on a real PostgreSQL, which dies in the middle.

Run: `python benchmarks/postgres.py` (two or three minutes; needs Debian's `postgresql` and
`pip install psycopg2-binary`). It starts a throw-away PostgreSQL on a free port of this machine, in
a folder that is deleted afterwards, and an MLflow server over it that keeps artifacts in a folder
and hands them out. Then, each step timed:

- run: a study on digits; PostgreSQL is ended by `kill -9` while it trains, and brought back.
- sync, report, export: what these commands write arrives, too.
- made: a study of `--trials` made-up trials is brought to the server, and to a home's database.

After each step the journal is compared with what the server shows: no run lost, none twice, none
left open. The first difference ends the script with exit code 1.
"""

import argparse
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.faults.books import check_books  # noqa: E402 # the path comes first
from tests.faults.processes import NAME, StudyRun, in_session  # noqa: E402
from tests.faults.servers import LOOPBACK, Server, free_port  # noqa: E402

DATABASE, USER = "mlflow", "foldwise"
PATIENCE = 60.0  # seconds
OUTAGE = 8.0  # seconds
KILLS = {"crash": signal.SIGKILL, "stop": signal.SIGINT}  # SIGINT: PostgreSQL's fast shutdown


class Postgres:
    """A PostgreSQL of its own in a folder, with one database; always on the same port.

    Args:
        folder: where its files go; made. It must be one that other users may enter.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder, self._password = folder, secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        word = folder / "password"
        word.write_text(self._password)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            for path in (folder, word):
                shutil.chown(path, "postgres", "postgres")
        made = [*("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={word}"), "--no-sync"]
        self._run("initdb", f"--pgdata={folder}/data", *made)

    @property
    def uri(self) -> str:
        """The address for MLflow, password included."""
        who = f"{USER}:{self._password}"
        return f"postgresql+psycopg2://{who}@{LOOPBACK}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        where = [*("-D", self._folder / "data"), *("-p", str(self.port)), *("-h", LOOPBACK)]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", *where, "-k", self._folder),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < end:
            if self._run("pg_isready", *self._address(), check=False) == 0:
                return
            time.sleep(0.1)
        raise SystemExit((self._folder / "postgres.log").read_text()[-2000:])

    def make_database(self) -> None:
        """Make the one database, empty."""
        self._run("createdb", *self._address(), f"--username={USER}", DATABASE)

    def end(self, how: str) -> None:
        """End it in good order (`stop`), or it and its children at once (`crash`)."""
        process, self._process = self._process, None
        if process is None:
            return
        (os.killpg if how == "crash" else os.kill)(process.pid, KILLS[how])
        process.wait(timeout=PATIENCE)
        if left := in_session(process.pid):
            raise SystemExit(f"PostgreSQL left processes behind: {left}")

    def _address(self) -> tuple[str, ...]:
        return f"--host={LOOPBACK}", f"--port={self.port}"

    def _run(self, name: str, *arguments: str, check: bool = True) -> int:
        environment = os.environ | {"PGPASSWORD": self._password}
        done = subprocess.run(
            self._command(name, *arguments), env=environment, capture_output=True, text=True
        )
        if check and done.returncode:
            raise SystemExit(f"{name}: {done.stderr}")
        return done.returncode

    def _command(self, name: str, *arguments: object) -> list[str]:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) or [shutil.which(name)]
        if found[-1] is None:
            raise SystemExit("PostgreSQL is not installed here; on Debian: apt install postgresql")
        as_user = []
        if os.geteuid() == 0:
            number = pwd.getpwnam("postgres").pw_uid
            as_user = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
        return [*as_user, str(found[-1]), *map(str, arguments)]


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Postgres, Server]]:
    """Yield a PostgreSQL and an MLflow server over it; end both, whatever happens."""
    postgres = Postgres(folder / "postgres")
    postgres.start()
    try:
        postgres.make_database()
        with Server(folder / "mlflow", backend=postgres.uri) as server:
            yield postgres, server
    finally:
        postgres.end("stop")


def main() -> None:
    """Take the steps and print their seconds; they also go to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200, help="of the made-up study")
    parser.add_argument("--out", type=Path, default=Path("postgres.json"))
    asked = parser.parse_args()
    seconds: dict[str, float] = {}
    folder = Path(tempfile.mkdtemp(prefix="foldwise-postgres-"))
    folder.chmod(0o711)
    began = time.monotonic()
    try:
        with servers(folder) as (postgres, server):
            seconds["servers"] = time.monotonic() - began
            study = StudyRun(folder / "user", server.address)
            try:
                seconds |= steps(study, postgres)
            finally:
                study.clean_up()
            seconds |= made_study(folder, server.address, asked.trials)
    finally:
        shutil.rmtree(folder)
    asked.out.write_text(json.dumps({"trials": asked.trials, "seconds": seconds}) + "\n")
    print("\n| step | seconds |\n|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {taken:.1f} |")
    print("Nothing was lost, nothing is there twice, nothing was left behind.")


def steps(study: StudyRun, postgres: Postgres) -> dict[str, float]:
    """Run a study through an outage and use what it found; check the books after each step."""
    seconds = {}
    with timed(seconds, "run, PostgreSQL away for a while"):
        command = study.start("--workers", "2", trials=8, as_json=False)
        study.wait_for("FoldEnded", 3)
        postgres.end("crash")
        before = len(study.records("FoldEnded"))
        time.sleep(OUTAGE)
        gone_on = len(study.records("FoldEnded")) - before
        postgres.start()
        done = command.wait()
        if done.code:
            raise SystemExit(done.err)
    print(f"While PostgreSQL was away the study finished {gone_on} folds.")
    with timed(seconds, "sync"):
        use(study, "sync")
    check_books(study.journal, study.uri, session=command.pid)
    with timed(seconds, "report"):
        use(study, "report", NAME)
    check_books(study.journal, study.uri)
    with timed(seconds, "export"):
        use(study, "export", NAME, "--to", str(study.folder / "model"), "--format", "keras,onnx")
    check_model(study)
    return seconds


def use(study: StudyRun, *arguments: str) -> None:
    """Run a command to its end."""
    done = study.command(*arguments).wait()
    if done.code:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.code}:\n{done.err}")


def check_model(study: StudyRun) -> None:
    """Check that the exported model is registered, and can be fetched as it was written."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    client = MlflowClient(study.uri, registry_uri=study.uri)
    version = client.get_model_version_by_alias(NAME, "champion")
    with tempfile.TemporaryDirectory() as folder:
        files = download_artifacts(version.source, tracking_uri=study.uri, dst_path=folder)
        fetched = [path.read_bytes() for path in Path(files).rglob("*.keras")]
    if fetched != [(study.folder / "model" / "model.keras").read_bytes()]:
        raise SystemExit("the model in the registry is not the one that was exported")
    runs = client.search_runs(
        [client.get_experiment_by_name(NAME).experiment_id], "tags.`search.kind` = 'final'"
    )
    if len(runs) != 1 or "test_accuracy" not in runs[0].data.metrics:
        raise SystemExit(f"{len(runs)} final runs, or one without its test scores")


def made_study(folder: Path, address: str, trials: int) -> dict[str, float]:
    """Bring a study of made-up trials to the server, and to a home's own database."""
    from made_trials import make_study

    from search.studies import study_folder
    from search.tracker import Tracker
    from tracking.home import Home

    seconds: dict[str, float] = {}
    home = Home(folder / "made")
    make_study(home, trials, quiet=True)
    for name, uri in (("PostgreSQL", address), ("SQLite", None)):
        with timed(seconds, f"{trials} made trials to {name}"):
            left = Tracker(home, uri).sync(study_folder(home, "made"), print)
        if left:
            raise SystemExit(f"{left} records did not reach {name}")
        check_books(study_folder(home, "made").journal, uri or home.tracking_uri)
    return seconds


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long something takes."""
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began
    print(f"{name}: {seconds[name]:.1f} s", flush=True)


if __name__ == "__main__":
    main()
