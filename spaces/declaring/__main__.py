"""`python -m spaces.declaring.__main__ REFERENCE [DATA]`: describe what a reference names.

This is a separate process, because a user's module imports TensorFlow and the coordinator must not.
The answer is one JSON line on standard output: a declaration and the files it depends on, or an
error. Everything else that is printed goes to standard error.
"""

import json
import os
import pickle  # nosec B403 # from the process that started this one
import socket
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spaces.declaring.declarations import Declaration, digest
from spaces.declaring.importing import PASSED, Code, adopt, described, split
from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import DataSpec, Pixels, Space
from spaces.declaring.values import value_text
from spaces.keras_tuner.exploring import BUILDS, Explorer, Setting, parameters_of
from spaces.keras_tuner.fitting import TriedFit
from spaces.keras_tuner.hypermodel import (
    Hypermodel,
    check,
    check_model,
    check_outputs,
    new_hyperparameters,
)
from spaces.keras_tuner.pixels import wanted_pixels
from spaces.keras_tuner.translation import is_shared

SHOWN_FAILURES = 3


def main(arguments: Sequence[str]) -> None:
    """Answer for the reference in `arguments`."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the user's code prints
    target, data = arguments[0], read_data(arguments[1]) if len(arguments) > 1 else None
    if PASSED in target:
        adopt(pickle.load(sys.stdin.buffer))  # noqa: S301 # nosec B301 # the parent's own pipe
    document: dict[str, Any]
    try:
        declaration = declare(target, data)
        document = {"declaration": declaration.to_json(), "sources": sources(target)}
    except SpaceError as error:
        document = {"error": str(error)}
    with answer:
        json.dump(document, answer)


def read_data(text: str) -> DataSpec:
    """Return the `DataSpec` from its JSON."""
    return _data_spec(json.loads(text))


def _data_spec(fields: Mapping[str, Any]) -> DataSpec:
    inputs = tuple((name, _data_spec(spec)) for name, spec in fields["inputs"])
    return DataSpec(**{**fields, "input_shape": tuple(fields["input_shape"]), "inputs": inputs})


def declare(target: str, data: DataSpec | None) -> Declaration:
    """Import what a reference names and, if it is a hypermodel, find out its parameters.

    Args:
        target: the reference.
        data: the data the models are built for; None to build no models.

    Raises:
        SpaceError: it is neither space nor hypermodel, or its models cannot be built.
    """
    code = Code(target)
    with code.running() as found:
        declaration = _declared(found, target, data)
    return replace(declaration, files=tuple(sorted(map(str, code.sources))))


def _declared(found: Any, target: str, data: DataSpec | None) -> Declaration:
    if isinstance(found, Space):
        return Declaration(is_space=True)
    check(found, target)
    summary = (found.__doc__ or "").strip().partition("\n")[0]
    if data is None:
        return Declaration(is_space=False, summary=summary)
    trial = _Builds(target, data, Hypermodel(found, target, data))
    explorer = Explorer(trial.build, new_hyperparameters)
    try:
        explorer.explore()
    except SpaceError:
        raise
    except Exception as error:  # the hypermodel may raise anything
        place, _ = split(target)
        raise SpaceError(
            f"{target} cannot be built with its default values: {described(error, place)}"
        ) from error
    parameters = parameters_of(explorer, compiled=trial.is_compiled)
    names = {original: parameter.name for parameter, original in parameters}
    return Declaration(
        is_space=False,
        parameters=parameters,
        compiled=trial.is_compiled,
        summary=summary,
        notices=_notices(explorer, trial, names),
        pixels=trial.pixels,
        fits=trial.fit is not None,
        set_by_fit=() if trial.fit is None else trial.fit.set_by_fit(),
    )


def sources(target: str) -> dict[str, str]:
    """Return the SHA-256 (hex) of every file the answer may depend on, by path.

    These are the modules of the reference's own package and all that are not installed.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = tuple({f"{sysconfig.get_path(name)}{os.sep}" for name in names})
    package = target.rpartition(":")[0].partition(".")[0]
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__dict__", {}).get("__file__") or ""
        own = name.partition(".")[0] == package
        if path.endswith(".py") and (own or not path.startswith(installed)):
            found[str(Path(path).resolve())] = digest(Path(path))
    return dict(sorted(found.items()))


@dataclass
class _Builds:
    """The builds of one hypermodel: only the first may use the network, for weights it loads.

    Where it has a `fit` of its own, each model is trained for a step on made samples, since that
    may use hyperparameters, too.

    Attributes:
        fit: its own `fit`; None if it has none.
        compiled: for each model, whether it was compiled.
        cut_off: exceptions of builds that needed the network.
        wanted: the pixels that each model for images expects.
    """

    target: str
    data: DataSpec
    hypermodel: Hypermodel
    fit: TriedFit | None = None
    compiled: list[bool] = field(default_factory=list)
    cut_off: list[Exception] = field(default_factory=list)
    wanted: set[Pixels | None] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.hypermodel.fits:
            self.fit = TriedFit(self.hypermodel, self.target, self.data)

    @property
    def is_compiled(self) -> bool:
        """Whether the models are compiled, or their own `fit` does what is to be done.

        Raises:
            SpaceError: only some are.
        """
        if self.fit is not None:
            return True
        if len(set(self.compiled)) > 1:
            raise SpaceError(
                f"{self.target} compiles only some of its models: compile all of them, or none"
            )
        return self.compiled[0]

    @property
    def pixels(self) -> str:
        """The pixels that the models expect, as in `Declaration`."""
        if "raw" in self.wanted:
            return "raw" if len(self.wanted) == 1 else "both"
        return "scaled" if "scaled" in self.wanted else ""

    def build(self, hp: Any) -> None:
        """Build a model and check it; raises whatever the hypermodel does."""
        if not self.compiled:
            self._build(hp)
            return
        attempts: list[object] = []
        with _without_network(attempts):
            try:
                self._build(hp)
            except Exception as error:
                if attempts:
                    self.cut_off.append(error)
                raise

    def _build(self, hp: Any) -> None:
        model = self.hypermodel.build(hp)
        check_model(model, self.target, self.data)
        if self.data.kind == "image":
            try:
                self.wanted.add(wanted_pixels(model, self.data.input_shape))
            except SpaceError as error:
                raise SpaceError(f"a model of {self.target} cannot be used: {error}") from error
        if self.fit is not None:
            self.fit.call(hp, model, raw="raw" in self.wanted)
        check_outputs(model, self.target, self.data)
        self.compiled.append(bool(model.compiled))


def _notices(explorer: Explorer, trial: _Builds, names: Mapping[str, str]) -> tuple[str, ...]:
    place, _ = split(trial.target)
    failures = [
        f"{_shown(params, names)} cannot be built for samples of {trial.data.input_shape}, and"
        f" trials with it will fail; exclude it with `--set` ({_why(error, place)})"
        for params, error in explorer.failures
        if error not in trial.cut_off
    ]
    sentences = [
        f"`{original}` of {trial.target} is not always in use, so only the model gets it, as"
        f" `{name}`; set the training choice with `--set {original}=...`"
        for original, name in names.items()
        if is_shared(original) and name != original
    ]
    if explorer.is_exhausted:
        return (*failures[:SHOWN_FAILURES], *sentences)
    return (
        *failures[:SHOWN_FAILURES],
        *sentences,
        f"{trial.target} was built {BUILDS} times and may have more parameters than were found;"
        " these keep their defaults",
    )


def _shown(params: Setting, names: Mapping[str, str]) -> str:
    return " ".join(
        f"{names.get(name, name)}={value_text(value)}" for name, value in params.items()
    )


def _why(error: Exception, place: str) -> str:
    return str(error) if isinstance(error, SpaceError) else described(error, place)


@contextmanager
def _without_network(attempts: list[object]) -> Iterator[None]:
    """Refuse connections, so that no weights are downloaded for models that are never trained."""
    connect = socket.socket.connect

    def refuse(_: socket.socket, address: object) -> None:
        attempts.append(address)
        raise OSError("no downloads while parameters are looked for")

    socket.socket.connect = refuse  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1:])
