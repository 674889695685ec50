"""`spaces`: the spaces that can be searched."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli import completing
from search.cli.output import DEFAULT_HOME, AsJson, DataDir, Home


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this space: a name, or for example my_space.py:SPACE.",
            autocompletion=completing.spaces,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Dataset a KerasTuner hypermodel is built for. [default: 28x28 grey]",
            autocompletion=completing.datasets,
        ),
    ] = None,
    data_dir: DataDir = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """List the spaces, or show one space's parameters, ranges and baselines."""
    from search.cli.output import Notices, print_json
    from search.errors import SettingsError, near_matches
    from spaces import SpaceError, get_space, names
    from tracking.home import Home as HomeFolder

    if name is not None and ":" not in name and name not in names():
        raise SettingsError(f"no space is called {name!r}; {near_matches(name, names())}")
    notify = Notices(quiet=json)
    try:
        if name is None:
            found = [get_space(reference) for reference in names()]
        else:
            found = [_space(name, dataset, HomeFolder(home), data_dir, notify)]
    except SpaceError as error:
        raise SettingsError(str(error)) from error
    if json:
        documents = [_document(space) for space in found]
        print_json(documents[0] if name else documents)
    elif name:
        _print_space(found[0])
    else:
        _print_list(found)


def _space(
    name: str, dataset: str | None, home: Any, data_dir: Path | None, notify: Callable[[str], None]
) -> Any:
    from search.data import load
    from search.data.inputs import space_on
    from spaces import DataSpec, get_space

    if dataset is not None:
        loaded = load(dataset, home=home.root, data_dir=data_dir, notify=notify)
        return space_on(name, loaded, home.declarations, notify)
    usual = DataSpec((28, 28, 1), 10)
    return get_space(name, usual, cache=home.declarations, notify=notify)


def _document(space: Any) -> dict[str, Any]:
    from search.study.identity import describe_parameter

    return {
        "name": space.name,
        "summary": space.summary,
        "dataset": space.dataset,
        "takes": list(space.kinds),
        "parameters": [describe_parameter(parameter) for parameter in space.parameters],
        "baselines": {name: _baseline(space, name) for name in space.baselines},
    }


def _baseline(space: Any, name: str) -> dict[str, Any]:
    published = space.published.get(name)
    known = {}
    if published is not None:
        known = {
            "model_parameters": published.model_parameters,
            "epochs": published.epochs,
            "measured_on": published.measured_on,
            "scores": dict(published.scores),
            "seconds": published.seconds,
        }
    return {"settings": space.complete(space.baselines[name]), **known}


def _print_list(found: list[Any]) -> None:
    from search.cli.output import console
    from search.cli.tables import Column, Listing

    columns = [Column(heading, is_number=False) for heading in ("space", "takes", "dataset")]
    made = Listing([*columns, Column("searched", spare=1)], "what it is", gap=" ")
    for space in found:
        baselines = f"; baselines {', '.join(space.baselines)}" if space.baselines else ""
        made.add_row(
            [
                space.name,
                ", ".join(space.kinds),
                space.dataset or "your own",
                str(len(space.searched())),
            ],
            f"{space.summary}{baselines}".split(),
        )
    console.print(made)


def _print_space(space: Any) -> None:
    from rich.markup import escape

    from search.cli.output import console, table
    from spaces import short_text

    summary = f": {escape(space.summary)}" if space.summary else ""
    console.print(f"[bold]{escape(space.name)}[/]{summary}")
    console.print(f"takes {' or '.join(space.kinds)} data; dataset {space.dataset or 'your own'}\n")
    if space.published:
        _print_published(space)
    made = table("parameter", "searched over", "only when")
    for parameter in space.searched():
        made.add_plain_row(parameter.name, parameter.describe(), _when_text(parameter.when))
    console.print(made)
    for name in space.baselines:
        _print_params(f"baseline {name}", space.complete(space.baselines[name]), space)
    made = table("fixed at", "may be", "only when")
    for parameter in space.parameters:
        if parameter.fixed:
            held = f"{parameter.name}={short_text(parameter.default)}"
            made.add_plain_row(held, parameter.describe(), _when_text(parameter.when))
    console.print()
    console.print(made)
    console.print("\nFixed unless `--set` gives a range, as in `--set batch_size=32,64,128`.")


def _print_params(title: str, params: dict[str, Any], space: Any) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    from search.cli.output import console, params_text

    searched = {parameter.name for parameter in space.searched()}
    shown = {name: value for name, value in params.items() if name in searched}
    console.print(f"\n[bold]{escape(title)}[/]")
    console.print(Padding(escape(params_text(shown)), (0, 0, 0, 2), expand=False))


def _when_text(when: Any) -> str:
    from spaces import short_text

    if when is None:
        return ""
    wanted = when[1] if isinstance(when[1], tuple) else (when[1],)
    return f"{when[0]} = {' | '.join(short_text(value) for value in wanted)}"


def _print_published(space: Any) -> None:
    from search.cli.output import console, table

    made = table(
        *("baseline", "weights", "published accuracy", "epochs", "time to expect"),
        right=("weights", "epochs", "time to expect"),
    )
    for name, published in space.published.items():
        scores = ", ".join(_score_text(on, score) for on, score in published.scores.items())
        minutes = max(1, round(published.seconds / 60))
        made.add_plain_row(
            name,
            f"{published.model_parameters:,}",
            scores if None in published.scores.values() else f"{scores} ({published.measured_on})",
            str(published.epochs),
            f"{minutes} min" if published.seconds >= 60 else f"{published.seconds:.0f} s",
        )
    console.print(made)
    console.print("A study trains its baselines for its own `--epochs`, like all its trials.\n")


def _score_text(dataset: str, score: float | None) -> str:
    return f"for {dataset}, this project's own" if score is None else f"{score:.4g} on {dataset}"
