"""From `package.module:ATTRIBUTE` or `file.py:ATTRIBUTE` to the object, by running that code.

A user's own code (modules that are neither installed nor this project's) is read once and can be
run many times: the state of one run is not visible to the next. An object that was passed from
Python has a reference, too; it is unpickled anew for each run.
"""

import importlib
import importlib.util
import linecache
import pickle  # nosec B403 # what the user's own process sends over a pipe of its own
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from textwrap import dedent
from types import CodeType, ModuleType
from typing import Any

from spaces.declaring.parameters import SpaceError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRACED = re.compile(r"\n\n {4}(?=\w[\w.]*: )")  # before the error, after the frames
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
    """Return an error's type and message in one line.

    Of several paragraphs it is the first, or the last line if the first only announces it.

    Args:
        error: as caught.
        longest: number of characters; a longer text loses its middle.
    """
    name, text = _innermost(type(error).__name__, _said(error))
    first = [line.strip() for line in re.split(r"\n\s*\n", text)[0].splitlines()] or [""]
    only_announces = first[0].endswith(":") or first[-1].endswith(":")
    said = text.splitlines()[-1].strip() if only_announces else " ".join(first)
    said = _ADDRESS.sub("", said)
    said = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in said)
    return shortened(f"{name}: {said}" if said else name, longest)


def shortened(text: str, longest: int) -> str:
    """Return a text that is safe for any file and terminal; long text loses its middle."""
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
    except Exception:  # noqa: BLE001 # an error whose message cannot be read
        return ""


def _innermost(name: str, text: str) -> tuple[str, str]:
    """Return type and text of the innermost error of nested ones."""
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


MESSAGE_CHARACTERS = 300
_AGAIN = " a second time, because the code is run again for every model"

_PROJECT = frozenset({"search", "spaces", "tracking"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})


@dataclass(frozen=True)
class Passed:
    """A space, hypermodel or function that was passed from Python: it has no name to import.

    It goes from process to process over their own pipes, and is never read from a file.

    Attributes:
        reference: what stands for it wherever the reference of a space does.
        name: its name, or its class's.
        place: file, or what Python calls the cell, that it was defined in.
        content: pickled by value: the object, and the own classes that Keras knows by a name.
        code: its fingerprint.
        is_space: whether it is a `Space`.
        summary: the first line of its docstring.
        sources: the source of the cells that its functions were defined in, by their file names.
    """

    reference: str
    name: str
    place: str
    content: bytes = field(repr=False)
    code: Mapping[str, Any] = field(repr=False)
    is_space: bool
    summary: str
    sources: Mapping[str, str] = field(repr=False)

    def load(self) -> Any:
        """Return the object, with functions, classes and globals that no earlier call returned."""
        for path, source in self.sources.items():  # TensorFlow reads it when it converts functions
            linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        found, registered = pickle.loads(self.content)  # noqa: S301 # nosec B301 # see above
        for name, kind in registered.items():
            package, _, own = name.rpartition(">")
            sys.modules["keras"].saving.register_keras_serializable(package, own)(kind)
        return found


PASSED = " passed from Python: "
_passed: dict[str, Passed] = {}  # by reference, as `sys.modules` has modules by name


def adopt(passed: Passed) -> None:
    """Let a reference stand for an object in this process, from now on."""
    _passed[passed.reference] = passed


def passed_as(reference: str) -> Passed | None:
    """Return the object that a reference stands for; None for a reference of another kind.

    Raises:
        SpaceError: it was passed to another process.
    """
    if PASSED not in reference:
        return None
    if reference not in _passed:
        raise SpaceError(
            "it exists only in the Python process it was passed in; pass it again there, with"
            " `run_study(..., study=NAME)`"
        )
    return _passed[reference]


def split(target: str) -> tuple[str, str]:
    """Return the module or file of a reference, and the attribute in it.

    Raises:
        SpaceError: the text is not such a reference.
    """
    if (passed := passed_as(target)) is not None:
        return passed.place, passed.name
    place, colon, attribute = target.rpartition(":")
    if not colon or not place or not attribute:
        raise SpaceError(
            f"no space is called {target!r}; name your own space as"
            " package.module:ATTRIBUTE or file.py:ATTRIBUTE"
        )
    return place, attribute


def find(target: str) -> Any:
    """Return what a reference names, running the user's own code.

    Raises:
        SpaceError: the reference cannot be found, or its module cannot be imported.
    """
    with Code(target).running() as found:
        return found


class Code:
    """The code of a reference: the user's own modules are read once, and run again on demand.

    Installed packages and this project's modules are imported as usual, once in a process.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._passed = passed_as(target)
        self._sources: dict[str, bytes] = {}
        self._has_run = False

    @property
    def target(self) -> str:
        """The reference."""
        return self._target

    @property
    def sources(self) -> dict[Path, bytes]:
        """The user's modules that runs have loaded so far: each file and its content."""
        return {Path(path): source for path, source in self._sources.items()}

    @contextmanager
    def running(self) -> Iterator[Any]:
        """Run the code again and yield what the reference names.

        Within the context, `import` returns the modules of this run, also in functions that import
        when they are called. Afterwards, earlier modules of the same names are restored.

        Raises:
            SpaceError: the reference cannot be found, or its module cannot be imported.
        """
        before = _own_modules()
        finder = _Finder(self)
        for name in before:
            del sys.modules[name]
        sys.meta_path.insert(0, finder)
        try:
            found = self._found()
            self._has_run = True
            yield found
        finally:
            sys.meta_path.remove(finder)
            sys.modules.update(before)

    def code_of(self, path: str) -> CodeType:
        """Return a module's code from its file as it was when first loaded."""
        source = self._sources.get(path)
        if source is None:
            source = self._sources[path] = Path(path).read_bytes()
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
        # Tracebacks, and TensorFlow when it converts functions, read the source of this run.
        lines = importlib.util.decode_source(source).splitlines(keepends=True)
        linecache.cache[path] = (len(source), None, lines, path)
        return code

    def _found(self) -> Any:
        if self._passed is not None:
            try:
                return self._passed.load()
            except (Exception, SystemExit) as error:  # it imports the user's modules
                raise SpaceError(
                    f"{self._target} cannot be loaded: {described(error, self._passed.place)}"
                ) from error
        place, attribute = split(self._target)
        module = self._module(place)
        if not hasattr(module, attribute):
            raise SpaceError(f"{place} has nothing called {attribute!r}")
        return getattr(module, attribute)

    def _module(self, place: str) -> ModuleType:
        try:
            if place.endswith(".py"):
                return self._module_from_file(Path(place))
            _add_to_path(Path.cwd())  # so that a module in the working directory is found
            return importlib.import_module(place)
        except SpaceError:
            raise
        except (Exception, SystemExit) as error:  # the user's module may raise anything at import
            raise SpaceError(
                f"{place} cannot be imported{_AGAIN if self._has_run else ''}:"
                f" {described(error, place)}"
            ) from error

    def _module_from_file(self, path: Path) -> ModuleType:
        if not path.is_file() and str(path) not in self._sources:
            raise SpaceError(f"there is no file {path}")
        name = f"foldwise_space_{path.stem}"
        loader = _Loader(name, str(path), self)
        spec = importlib.util.spec_from_file_location(name, path, loader=loader)
        if spec is None:
            raise SpaceError(f"{path} is not a Python file")
        _add_to_path(path.resolve().parent)  # so that it finds the modules beside it, like a script
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        return module


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: Code) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code.code_of(self.get_filename(fullname))


class _Finder(MetaPathFinder):
    """Finds a user's own modules like the other finders, and lets `Code` load them."""

    def __init__(self, code: Code) -> None:
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in _PROJECT:
            return None
        others = (f.find_spec for f in sys.meta_path if f is not self and hasattr(f, "find_spec"))
        spec = next(filter(None, (find(fullname, path, target) for find in others)), None)
        if spec is None or not spec.origin or not is_own_file(spec.origin):
            return None
        spec.loader = _Loader(fullname, spec.origin, self._code)
        return spec


def is_own_file(path: str) -> bool:
    """Return whether a file is a module that is neither installed nor in the standard library."""
    is_installed = path.startswith(_STANDARD) or not _INSTALLED.isdisjoint(path.split("/"))
    return path.endswith(".py") and not is_installed


def described(error: BaseException, place: str) -> str:
    """Return an exception in one line, with the line of the user's code it came from.

    Args:
        error: as caught.
        place: the module or file whose lines are the user's.
    """
    said = cause_of(error, MESSAGE_CHARACTERS)
    frames = traceback.extract_tb(error.__traceback__)
    where = [frame for frame in frames if _is_in(place, Path(frame.filename))] or frames
    at = "".join(f" ({frame.filename}:{frame.lineno})" for frame in where[-1:])
    return f"{said}{at}"


def _is_in(place: str, file: Path) -> bool:
    if place.endswith(".py"):
        return file.name == Path(place).name
    package = place.partition(".")[0]
    return package in file.parts or file.stem == package


def is_own(name: str, module: object) -> bool:
    """Return whether a loaded module is the user's own: neither installed nor this project's."""
    if name.partition(".")[0] in _PROJECT or name == "__main__":
        return False
    path = getattr(module, "__dict__", {}).get("__file__")
    return isinstance(path, str) and is_own_file(path)


def _own_modules() -> dict[str, ModuleType]:
    """Return the user's own modules that are loaded, by name.

    Folders of their packages that lack an `__init__.py` are among them: what such a one consists of
    is looked up in the package above it whenever something is imported from it.
    """
    loaded = list(sys.modules.items())
    own = {name: module for name, module in loaded if is_own(name, module)}
    for name, module in loaded:
        is_bare = hasattr(module, "__path__") and getattr(module, "__file__", None) is None
        above = name.split(".")[:-1]
        if is_bare and any(".".join(above[:end]) in own for end in range(1, len(above) + 1)):
            own[name] = module
    return own


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path and ("" not in sys.path or folder != Path.cwd()):
        sys.path.append(str(folder))
