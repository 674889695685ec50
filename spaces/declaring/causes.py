"""What an error says, without what Keras and TensorFlow put around it.

Keras 3 wraps an error from within a layer's `call` in "Exception encountered when calling ..." and
the arguments of that call, AutoGraph an error from within a traced function in "in user code:" and
a traceback, deserialisation one in the configuration; each may stand around another.
"""

import re
from textwrap import dedent

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRACED = re.compile(r"\n\n {4}(?=\w[\w.]*: )")  # before the error, behind the frames
_NAMED = re.compile(r"(\w[\w.]*): (.*)", re.DOTALL)
_CALLED = re.compile(r"Exception encountered when calling [^\n]*\s*(.*)", re.DOTALL)
_ARGUMENTS = re.compile(r"\n\s*Arguments received by [^\n]*:\n")
_LOADED = "\n\nException encountered: "
_NODES = re.compile(
    r"\{\{function_node [^}]*\}\} ?| for '\{\{node [^']*'"
    r"|\s*\[\[.*\]\]|\s*\[Op:[^\]]*\]( name: *)?",
    re.DOTALL,
)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # differs from process to process
_FRAMES = re.compile(
    r"Detected at node .*?defined at \(most recent call last\):\n(\s*\n|\s*<?File[^\n]*\n)*"
)


def cause_of(error: BaseException, longest: int = 300) -> str:
    """Return an error's type and what it says, in one line.

    Of several paragraphs the first, or the last line where the first only announces it.

    Args:
        error: as caught.
        longest: number of characters; a longer text is shown without its middle.
    """
    name, text = _innermost(type(error).__name__, _said(error))
    first = [line.strip() for line in re.split(r"\n\s*\n", text)[0].splitlines()] or [""]
    only_announces = first[0].endswith(":") or first[-1].endswith(":")
    said = text.splitlines()[-1].strip() if only_announces else " ".join(first)
    said = _ADDRESS.sub("", said)
    said = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in said)
    return shortened(f"{name}: {said}" if said else name, longest)


def shortened(text: str, longest: int) -> str:
    """Return a text that any file and terminal takes; a long one without its middle."""
    text = text.encode(errors="backslashreplace").decode()
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... {text[-half:]}"


def _said(error: BaseException) -> str:
    if isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0]  # `str` would show Keras's text with escapes for its line breaks
    try:
        return str(error)
    except Exception:  # noqa: BLE001 # an error that cannot even be told
        return ""


def _innermost(name: str, text: str) -> tuple[str, str]:
    """Return type and text of the error that others stand around."""
    text = _COLOUR.sub("", text).strip()
    if text.startswith("in user code:") and (found := _TRACED.search(text)):
        inner = _NAMED.fullmatch(dedent(f"    {text[found.end() :]}").strip())
        return _innermost(inner[1].rpartition(".")[2], inner[2]) if inner else (name, text)
    if called := _CALLED.fullmatch(text):
        return _innermost(name, _ARGUMENTS.split(called[1])[0])
    if _LOADED in text:
        return _innermost(name, text.rpartition(_LOADED)[2])
    if text.startswith("Graph execution error:"):
        text = _FRAMES.sub("", text.partition(":")[2])
    return name, _NODES.sub("", text).strip()
