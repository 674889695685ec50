"""Mutation testing: small changes to the modules that numbers come from, which tests must notice.

    python -m tests.mutants                                  # all modules; goes on where it ended
    python -m tests.mutants search/data/folds.py                  # one of them
    python -m tests.mutants search/data/folds.py --survivors      # only what survived the last time

Cosmic Ray's operators make the mutants. Its own runner starts a process for each, in which the
import of TensorFlow alone takes seconds; here TensorFlow's Python package is imported once (no
operation runs, so no thread has started), and each mutant gets a fork that imports this project's
code anew, with the mutated module in place of the one on disk, and runs the module's tests.

A run fails where fewer than 90 % of a module's mutants are noticed, where a survivor is not listed
with its reason in `tests/mutants-accepted.toml`, and where that file lists what no longer survives.
"""

import argparse
import ast
import contextlib
import gc
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "tests" / "mutants-accepted.toml"
RESULTS = ROOT / ".mutants.jsonl"
LEAST_KILLED = 0.9

# The tests that must notice what changes in a module, those that notice most first.
TESTS: dict[str, tuple[str, ...]] = {
    "search/data/folds.py": ("tests/search/data/test_folds.py",),
    "search/training/batches.py": (
        "tests/search/training/test_batches.py",
        "tests/search/training/test_augmentation.py",
    ),
    "search/data/inputs.py": ("tests/search/data/test_inputs.py",),
    "search/study/budget.py": ("tests/search/study/test_budget.py",),
    "search/analysis/report/importance.py": ("tests/search/analysis/report/test_importance.py",),
    "search/analysis/comparison/statistics.py": (
        "tests/search/analysis/comparison/test_statistics.py",
        "tests/search/analysis/comparison/test_intervals.py",
    ),
    "search/analysis/comparison/ranks.py": ("tests/search/analysis/comparison/test_ranks.py",),
    "search/analysis/comparison/selection.py": (
        "tests/search/analysis/comparison/test_selection.py",
    ),
    "search/analysis/comparison/evidence.py": (
        "tests/search/analysis/comparison/test_evidence.py",
    ),
    "search/training/targets.py": (
        "tests/search/training/test_targets.py",
        "tests/search/training/test_fit.py",
    ),
    "search/tasks/classification.py": (
        "tests/search/training/test_targets.py",
        "tests/search/tasks/test_scores.py",
    ),
    "search/training/program.py": (
        "tests/search/training/test_reuse.py",
        "tests/search/training/test_fit.py",
    ),
    "search/training/fit.py": (
        "tests/search/training/test_fit.py",
        "tests/search/training/test_reuse.py",
    ),
    "search/training/fold.py": (
        "tests/search/training/test_fold.py",
        "tests/search/training/test_probe.py",
        "tests/search/export/test_final.py",
    ),
    "search/study/feedback.py": ("tests/search/study/test_feedback.py",),
    "search/export/evaluation.py": ("tests/search/export/test_champion.py",),
    **{
        f"search/study/pruners/{name}.py": (
            "tests/search/study/test_pruners.py",
            "tests/search/study/test_loop.py",
        )
        for name in ("base", "folds", "halving", "racing")
    },
}
# Imported before the forks: what costs time, is not this project's, and starts no threads.
COMMON = (
    *("numpy", "scipy.stats", "sklearn.metrics", "sklearn.model_selection", "pandas", "pydantic"),
    *("optuna", "plotly.graph_objects", "pytest", "tensorflow", "keras"),
)
WALL_FACTOR, CPU_FACTOR = 50, 10  # of what the tests take without a mutant
LEAST_SECONDS = 60  # of either limit: other work on the machine must not kill a mutant
MORE_MEMORY = 8 << 30  # bytes of address space beyond what the imports took


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        module: path from the root.
        line: number of the first changed line.
        before, after: the changed lines, stripped and joined.
        code: the whole changed module.
    """

    module: str
    line: int
    before: str
    after: str
    code: str = field(repr=False)

    @property
    def key(self) -> str:
        """Digest of the changed module."""
        return hashlib.sha256(f"{self.module}\n{self.code}".encode()).hexdigest()

    @property
    def change(self) -> tuple[str, str, str]:
        """What tells it apart when lines have moved."""
        return self.module, self.before, self.after


def main() -> int:
    """Run what is not known yet, print a summary, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="paths from the root; all where none is named")
    parser.add_argument("--survivors", action="store_true", help="try only the last survivors")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="print the mutants, run none")
    asked = parser.parse_args()
    unknown = [name for name in asked.modules if name not in TESTS]
    if unknown:
        parser.error(f"{unknown[0]} has no entry in TESTS; known: {', '.join(TESTS)}")
    modules = asked.modules or list(TESTS)
    missing = [n for m in modules for n in (m, *TESTS[m]) if not (ROOT / n).exists()]
    if missing:
        parser.error(f"{missing[0]} is named in TESTS and does not exist")
    known = _read_results()
    if not asked.list:
        for name in COMMON:
            importlib.import_module(name)
        gc.freeze()  # else collections in the forks copy what all of them share
    summary, faults = [], []
    for module in modules:
        made = list(mutants_of(module))
        if asked.list:
            for mutant in made:
                print(f"{module}:{mutant.line}: {mutant.before}  ->  {mutant.after}")
            continue
        outcomes = _outcomes(made, known, asked)
        survivors = [mutant for mutant in made if outcomes[mutant.key] == "survived"]
        summary.append(_row(module, made, outcomes))
        faults += _faults(module, made, survivors)
    print("\n".join(["", *summary, *(["", *faults] if faults else [])]))
    return 1 if faults else 0


# --- mutants


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield the changes of a module that mean something else than the module, each once."""
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / module).read_text(encoding="utf-8")
    seen = {_meaning(source)}
    for operator in _operators():
        occurrence = 0
        while (code := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            meaning = _meaning(code)
            if meaning is not None and meaning not in seen:
                seen.add(meaning)
                yield _mutant(module, source, code)


def _operators() -> list[Any]:
    """Return Cosmic Ray's operators, of those for arithmetic two replacements each, and our own."""
    from cosmic_ray.operators.provider import OperatorProvider

    from tests.mutation_operators import OWN

    provider = OperatorProvider()
    binary = ("Add_Sub", "Add_Mul", "Sub_Add", "Sub_Mul", "Mul_Div", "Mul_Add", "Div_Mul")
    binary += ("Div_FloorDiv", "FloorDiv_Div", "FloorDiv_Mul", "Mod_Div", "Mod_FloorDiv")
    binary += ("Pow_Mul", "Pow_Add", "RShift_LShift", "LShift_RShift", "BitOr_BitAnd")
    binary += ("BitAnd_BitOr", "BitXor_BitAnd")
    left_out = (
        "ExceptionReplacer",
        "NumberReplacer",
        "ReplaceBinary",
        "VariableReplacer",
        "VariableInserter",
    )
    names = [name for name in provider if not name.startswith(left_out)]
    names += [f"ReplaceBinaryOperator_{name}" for name in binary]
    return [*(provider[name]() for name in names), *(operator() for operator in OWN)]


def _meaning(code: str) -> str | None:
    """Return the module without what does not run or is no number's; None for a syntax error."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef():
                if all(isinstance(part, ast.Expr) for part in node.body):  # an abstract one
                    node.decorator_list = []
                node.returns, given = None, node.args
                given.args = [*given.posonlyargs, *given.args, *given.kwonlyargs]
                given.defaults = [d for d in (*given.defaults, *given.kw_defaults) if d]
                given.posonlyargs, given.kwonlyargs, given.kw_defaults = [], [], []
                for argument in given.args:
                    argument.annotation = None
            case ast.AnnAssign():
                node.annotation = ast.Constant(None)
            case ast.Call(func=ast.Name("dataclass")):
                node.keywords = []
            case ast.If(test=test) if "TYPE_CHECKING" in ast.unparse(test):
                node.test, node.body = ast.Constant(None), [ast.Pass()]
            case ast.Raise(exc=ast.Call() as raised):  # a message's words and numbers
                raised.args = []
    return ast.dump(tree)


def _mutant(module: str, source: str, code: str) -> Mutant:
    old, new = source.splitlines(), code.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new))
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    before, after = (
        " ".join(line.strip() for line in lines[first : len(lines) - last] if line.strip())
        for lines in (old, new)
    )
    if not after:  # a decorator was left out: say of what
        before += " " + next(line.strip() for line in old[len(old) - last :] if line.strip())
    return Mutant(module, first + 1, before, after, code)


# --- running


def _outcomes(made: list[Mutant], known: dict[str, Any], asked: argparse.Namespace) -> Any:
    """Return `killed` or `survived` for each mutant's key, from the results or by running."""
    module, tests = made[0].module, TESTS[made[0].module]
    digest = _digest(tests)
    outcomes = {}
    for mutant in made:
        before = known.get(mutant.key)
        settled = before and (
            before["outcome"] == "killed" if asked.survivors else before["tests"] == digest
        )
        if before and settled:
            outcomes[mutant.key] = before["outcome"]
    left = [mutant for mutant in made if mutant.key not in outcomes]
    if not left:
        return outcomes
    limits = _measure(module, tests)
    for mutant, outcome in _run_all(left, tests, limits, asked.processes):
        outcomes[mutant.key] = outcome
        with RESULTS.open("a", encoding="utf-8") as file:
            record = {"key": mutant.key, "tests": digest, "outcome": outcome}
            file.write(json.dumps({**record, "change": [mutant.line, *mutant.change]}) + "\n")
        sign = "." if outcome == "killed" else f"\n{module}:{mutant.line}: {mutant.before}"
        print(sign if outcome == "killed" else f"{sign}\n  ->  {mutant.after}", end="", flush=True)
    return outcomes


def _measure(module: str, tests: Sequence[str]) -> tuple[int, int]:
    """Return the limits of processor and wall seconds, from a run without a mutant.

    Raises:
        SystemExit: the tests fail as it is.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        code = (ROOT / module).read_text(encoding="utf-8")
        child = _fork(Mutant(module, 0, "", "", code), tests, None, output.fileno())
        _, status, used = os.wait4(child, 0)
        if status:
            output.seek(0)
            sys.exit(f"the tests of {module} fail without a mutant:\n{output.read().decode()}")
    wall = time.monotonic() - started
    processor = used.ru_utime + used.ru_stime
    print(f"\n{module}: {wall:.1f} s a run", flush=True)
    return (
        int(max(LEAST_SECONDS, processor * CPU_FACTOR)),
        int(max(LEAST_SECONDS, wall * WALL_FACTOR)),
    )


def _run_all(
    left: list[Mutant], tests: Sequence[str], limits: tuple[int, int], processes: int
) -> Iterator[tuple[Mutant, str]]:
    running: dict[int, Mutant] = {}
    waiting = list(reversed(left))
    with Path(os.devnull).open("w") as nowhere:
        while waiting or running:
            while waiting and len(running) < processes:
                mutant = waiting.pop()
                running[_fork(mutant, tests, limits, nowhere.fileno())] = mutant
            child, status = os.wait()
            mutant = running.pop(child)
            _clear_up(child)
            yield mutant, "survived" if status == 0 else "killed"


def _fork(mutant: Mutant, tests: Sequence[str], limits: tuple[int, int] | None, output: int) -> int:
    """Start a process that runs the tests; it ends with pytest's code, or by a limit's signal."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()  # so that what the tests start can be ended with them
        os.dup2(output, 1)
        os.dup2(output, 2)
        if limits is not None:
            _limit(*limits)
        name = mutant.module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Finder(name, ROOT / mutant.module, mutant.code))
        code = _run_tests(tests)
    finally:
        os._exit(code)


def _limit(processor: int, wall: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.alarm(wall)


def _run_tests(tests: Sequence[str]) -> int:
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading them takes longer than most tests
    options = ("-q", "-x", "-p", "no:cacheprovider", f"--basetemp={_folder(os.getpid())}")
    return int(pytest.main([*options, *tests]))


def _clear_up(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it mostly left nothing running
        os.killpg(child, signal.SIGKILL)
    shutil.rmtree(_folder(child), ignore_errors=True)


def _folder(child: int) -> Path:
    return Path(tempfile.gettempdir()) / f"foldwise-mutant-{child}"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module instead of the one on disk."""

    def __init__(self, name: str, path: Path, code: str) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        loader = _Loader(fullname, str(self.path), self.code)
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: str) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.code, self.path, "exec", dont_inherit=True)


# --- what is known, and what is accepted


def _read_results() -> dict[str, Any]:
    """Return the last result of each mutant by its key."""
    if not RESULTS.exists():
        return {}
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return {record["key"]: record for record in records}


def _digest(tests: Sequence[str]) -> str:
    shared = ("tests/conftest.py", "tests/fakes.py", "tests/studies.py")
    digest = hashlib.sha256()
    for name in (*tests, *shared):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _row(module: str, made: list[Mutant], outcomes: dict[str, str]) -> str:
    counts = Counter(outcomes[mutant.key] for mutant in made)
    share = counts["killed"] / len(made)
    return f"{module:35} {counts['killed']:4} of {len(made):4} killed  {share:6.1%}"


def _faults(module: str, made: list[Mutant], survivors: list[Mutant]) -> list[str]:
    listed = tomllib.loads(ACCEPTED.read_text(encoding="utf-8")).get("accepted", [])
    accepted = {(m["module"], m["before"], m["after"]) for m in listed if m["module"] == module}
    faults = [
        f"{module}:{mutant.line}: survives and is not listed: {mutant.before}  ->  {mutant.after}"
        for mutant in survivors
        if mutant.change not in accepted
    ]
    gone = accepted - {mutant.change for mutant in survivors}
    faults += [f"{m}: is listed and does not survive: {b}  ->  {a}" for m, b, a in sorted(gone)]
    if len(survivors) > (1 - LEAST_KILLED) * len(made):
        faults.append(f"{module}: fewer than {LEAST_KILLED:.0%} of its mutants are killed")
    return faults


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.chdir(ROOT)
    sys.exit(main())
