"""Numbers in words, and commands that messages suggest."""

import shlex

import pytest

from tracking.text import counted, shell

MODULE = "/src/foldwise/search/__main__.py"


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ("/home/me/.venv/bin/foldwise", None),
        ("ipykernel_launcher.py", None),
        ("", None),
        (MODULE, "x"),
    ],
)
def test_a_suggested_command_begins_with_the_console_script(
    called: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [called, "run"])
    monkeypatch.setattr("tracking.text.which", lambda name: found)

    assert shell("show", "digits") == "foldwise show digits"


def test_a_suggested_command_names_the_module_if_it_was_called_and_the_script_is_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", [MODULE, "run"])
    monkeypatch.setattr("tracking.text.which", lambda name: None)

    assert shell("show", "digits") == "python -m search show digits"


def test_a_shell_reads_a_suggested_command_as_the_words_it_was_made_of() -> None:
    words = ("run", "--study", "it's mine", "--set", "kernel=(1,3)")

    assert shlex.split(shell(*words))[-len(words) :] == list(words)


@pytest.mark.parametrize(
    ("noun", "two"),
    [
        ("epoch", "2 epochs"),
        ("study", "2 studies"),
        ("other address", "2 other addresses"),
        ("way", "2 ways"),
    ],
)
def test_a_noun_has_its_plural(noun: str, two: str) -> None:
    assert counted(2, noun) == two
    assert counted(1, noun) == f"1 {noun}"
