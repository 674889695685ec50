"""Commands that messages suggest."""

import shlex

import pytest

from tracking.text import shell


@pytest.mark.parametrize("called", ["/home/me/.venv/bin/foldwise", "foldwise.exe"])
def test_a_suggested_command_begins_with_the_console_script_that_was_called(
    called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [called, "run"])

    assert shell("show", "digits") == "foldwise show digits"


@pytest.mark.parametrize("called", ["/src/foldwise/search/__main__.py", "my_search.py", ""])
def test_a_suggested_command_begins_with_the_module_where_no_console_script_was_called(
    called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [called, "run"])

    assert shell("show", "digits") == "python -m search show digits"


def test_a_shell_reads_a_suggested_command_as_the_words_it_was_made_of() -> None:
    words = ("run", "--study", "it's mine", "--set", "kernel=(1,3)")

    assert shlex.split(shell(*words))[-len(words) :] == list(words)
