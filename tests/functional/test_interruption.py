import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.functional.conftest import TINY, held

pytestmark = pytest.mark.slow

ARGUMENTS = ("run", *TINY, "--study", "toy", "--trials", "6", "--json")


def test_ctrl_c_keeps_finished_folds_and_the_study_continues_as_if_uninterrupted(
    user, tmp_path_factory, wait_for
):
    whole = type(user)(tmp_path_factory.mktemp("whole")).here(*ARGUMENTS).json
    process = user.start(*ARGUMENTS)
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    wait_for(lambda: journal.exists() and journal.read_text().count('"FoldEnded"') >= 2)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert json.loads(output)["reason"] == "interrupted"
    assert not psutil.wait_procs(children, timeout=5)[1]
    if json.loads(output)["records_not_in_mlflow"]:  # the machine is busy
        assert user("sync").code == 0
    assert "RUNNING" not in _statuses(user)
    kept = _folds(journal)

    continued = user.here(*ARGUMENTS)
    assert continued.code == 0, continued.err
    ours = [(t["parameters"], t["folds"], t["scores"]) for t in continued.json["trials"]]
    theirs = [(t["parameters"], t["folds"], t["scores"]) for t in whole["trials"]]
    assert ours == theirs
    folds = _folds(journal)
    assert folds[: len(kept)] == kept
    assert len(set(folds)) == len(folds) == sum(len(t["folds"]) for t in whole["trials"])
    assert set(_statuses(user)) <= {"FINISHED", "KILLED"}  # the latter of pruned trials


# Runs the command line, and is interrupted as soon as it looks for a module.
INTERRUPTED_AT = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == WHEN:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

WHEN = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
runpy.run_module("search", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "module", ["search.cli.app", "typer", "search.api", "search.study.opening"]
)
def test_ctrl_c_before_anything_began_ends_quietly(newcomer, module):
    command = [sys.executable, "-c", INTERRUPTED_AT, module, *ARGUMENTS]
    done = subprocess.run(
        command,
        cwd=newcomer.folder,
        env=newcomer.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stdout + done.stderr == ""
    assert not (newcomer.folder / "mlruns").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_process_on_a_study_is_refused_and_the_first_can_be_told_to_end(
    user, number, wait_for
):
    long = (*ARGUMENTS, "--trials", "40")
    process = user.start(*long)
    journal = user.folder / "mlruns" / "studies" / "toy" / "journal.jsonl"
    wait_for(lambda: journal.exists() and '"EpochEnded"' in journal.read_text())
    with held(process):
        second = user.here(*long)
    os.killpg(process.pid, number)
    assert second.code == 2
    assert f"the study is being run by process {process.pid} on" in second.err
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert '"SessionEnded"' in journal.read_text().splitlines()[-1]


def _statuses(user) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{user.folder}/mlruns/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "toy"]
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def _folds(journal) -> list[tuple[int, int]]:
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    return [(r["trial"], r["fold"]) for r in records if r["kind"] == "FoldEnded"]
