"""Help, examples, short and other names of options, and what shells complete."""

import os
import pty
import select
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from search.cli import output
from search.cli.app import app
from tests.studies import StudyBuilder
from tracking.home import Home

GROUP = typer.main.get_command(app)
EXAMPLES = [line for each in GROUP.commands.values() for line in each.epilog.splitlines()]


def helped(monkeypatch, capsys, width: int, *arguments: str) -> list[str]:
    monkeypatch.setattr(output.console, "_width", width)
    with pytest.raises(SystemExit):
        app([*arguments, "--help"], prog_name="foldwise")
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("name", ["", *GROUP.commands])
def test_help_fits_the_terminal_and_cuts_no_name(monkeypatch, capsys, width, name):
    lines = helped(monkeypatch, capsys, width, *([name] if name else []))
    examples = {f"  {line.partition('  # ')[0]}" for line in EXAMPLES}
    assert all(len(line) <= width or line in examples for line in lines)
    assert "…" not in "".join(lines)
    assert not [line for line in lines if line.endswith(" ")]
    command = GROUP.commands[name] if name else GROUP
    words = " ".join(lines).replace(",", "").split()
    shown = [max(each.opts, key=len) for each in command.params if each.opts[0][0] == "-"]
    assert set(shown) <= set(words)
    if not name:
        assert set(GROUP.commands) <= set(words)


def test_commands_stand_in_groups_and_each_has_examples(monkeypatch, capsys):
    lines = helped(monkeypatch, capsys, 100)
    heads = [line for line in lines if line and line[0] != " "]
    assert heads[2:] == [
        *("Search", "Look at results", "Use the best model", "Spaces and data"),
        *("Look after studies", "Options"),
    ]
    assert all(command.epilog for command in GROUP.commands.values())


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_has_the_options_it_uses(line):
    words = shlex.split(line.partition("  # ")[0].partition(" > ")[0])
    assert words[0] == "foldwise"
    command = GROUP.commands[words[1]]
    command.make_context(words[1], words[2:], parent=None, resilient_parsing=False)


def test_the_six_options_typed_most_have_letters():
    letters = {o: p.name for p in GROUP.commands["run"].params for o in p.opts if len(o) == 2}
    assert letters == {
        "-s": "space",
        "-d": "dataset",
        "-n": "trials",
        "-k": "folds",
        "-e": "epochs",
        "-p": "set",
    }


@pytest.mark.parametrize("name", ["export", "compare", "report", "datasets", "trials"])
def test_what_is_written_goes_to_out_everywhere_and_its_other_name_is_understood(name):
    command = GROUP.commands[name]
    assert [p.opts for p in command.params if p.name == "out"] == [["--out", "-o"]]
    parser = command.make_parser(command.context_class(command))
    assert parser.parse_args(["x", "--to", "place"])[0]["out"] == "place"
    assert not any("--to" in p.opts for p in command.params)


def completed(home: Path, words: str, **environment: str) -> list[str]:
    arguments = ["foldwise", *words.split(" ")]
    asked = {
        "_FOLDWISE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(arguments),
        "COMP_CWORD": str(len(arguments) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="foldwise", env=asked | environment)
    return done.output.split()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("toy", "tall"):
        StudyBuilder(name).write(Home(tmp_path / "mlruns").study(name).journal)
    return tmp_path


@pytest.mark.slow
def test_shells_complete_names_and_values(home):
    assert completed(home, "show t") == ["tall", "toy"]
    assert completed(home, "show --home nowhere t") == []
    assert completed(home, "show t", FOLDWISE_HOME="nowhere") == []
    assert completed(home, "run --study to") == ["toy"]
    assert completed(home, "run -s le") == ["lenet"]
    assert completed(home, "run -d fa") == ["fashion_mnist"]
    assert completed(home, "run --pruner ra") == ["racing"]
    assert completed(home, "run --precision f") == ["float32"]
    assert completed(home, "datasets d") == ["digits"]
    assert completed(home, "st") == ["stop", "studies"]


@pytest.fixture
def bash(home):
    """Return what an interactive Bash with completion makes of what is typed before a tab."""
    program = home / "bin" / "foldwise"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom search.__main__ import main\nmain()\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(home), "TERM": "dumb"}
    code = "foldwise --install-completion; true"  # which looks for the shell that it is called by
    subprocess.run(["/bin/bash", "-c", code], env=env, cwd=home, check=True, capture_output=True)
    with (home / ".bashrc").open("a") as settings:
        settings.write("\nPS1='ready> '\n")

    def bash(typed: str, becomes: str) -> None:
        ours, theirs = pty.openpty()
        shell = subprocess.Popen(
            ["/bin/bash", "--noprofile", "-i"],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env=env,
            cwd=home,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            _read_until(ours, "ready> ")
            os.write(ours, f"{typed}\t".encode())
            _read_until(ours, becomes)
        finally:
            shell.kill()
            shell.wait()
            os.close(ours)

    return bash


def _read_until(terminal: int, expected: str) -> None:
    seen = ""
    while expected not in seen:
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 1 << 12).decode(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("foldwise show to", "foldwise show toy "),
        ("foldwise show two", "foldwise show two\\ words "),
        ('foldwise show "two', 'foldwise show "two words" '),
        ("foldwise run --dataset=fash", "--dataset=fashion_mnist "),
        ("foldwise run --space lenet --pruner=med", "--pruner=median "),
        ("foldwise run -d csv:som", "csv:some.csv "),
    ],
)
def test_bash_completes_what_is_typed(bash, home, typed, becomes):
    StudyBuilder("two words").write(Home(home / "mlruns").study("two words").journal)
    (home / "some.csv").touch()
    bash(typed, becomes)


@pytest.mark.slow
def test_what_a_shell_waits_for_imports_nothing_heavy(home):
    heavy = "tensorflow|keras|sklearn|mlflow|optuna|matplotlib|plotly"
    code = (
        "import sys; from search.cli import app; app.app.__class__\n"
        f"print([m for m in '{heavy}'.split('|') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_an_error_says_whose_the_options_are_that_a_command_has_not(home, monkeypatch, capsys):
    from search.cli.app import run

    Path("t.csv").write_text("one,two\n" + "1.5,2\n7,8.5\n" * 20)
    for arguments in (["spaces", "mlp", "--dataset", "csv:t.csv"], ["datasets", "csv:t.csv"]):
        monkeypatch.setattr(sys, "argv", ["foldwise", *arguments])
        with pytest.raises(SystemExit):
            run()
        error = capsys.readouterr().err.replace("\n", " ")
        assert "`--target COLUMN`" in error
        whose = "(`--target` is an option of `run`.)"
        assert (whose in error) == (arguments[0] == "spaces")
