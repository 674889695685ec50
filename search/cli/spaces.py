"""`spaces`: what can be searched."""

from typing import Annotated, Any

import typer

from search.cli.options import AsJson


def spaces(
    name: Annotated[
        str | None, typer.Argument(help="Show this space's parameters and baselines.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the spaces, or one space's parameters, ranges and published settings."""
    from search.cli.output import print_json
    from search.errors import SettingsError, near_matches
    from spaces import SpaceError, get_space, names

    if name is not None and ":" not in name and name not in names():
        raise SettingsError(f"no space is called {name!r}; {near_matches(name, names())}")
    try:
        found = [get_space(reference) for reference in ((name,) if name else names())]
    except SpaceError as error:
        raise SettingsError(str(error)) from error
    if json:
        documents = [_document(space) for space in found]
        print_json(documents[0] if name else documents)
    elif name:
        _print_space(found[0])
    else:
        _print_list(found)


def _document(space: Any) -> dict[str, Any]:
    from search.opening import describe_parameter

    return {
        "name": space.name,
        "summary": space.summary,
        "dataset": space.dataset,
        "input_shape": list(space.image.shape),
        "parameters": [describe_parameter(parameter) for parameter in space.parameters],
        "baselines": {name: space.complete(setting) for name, setting in space.baselines.items()},
    }


def _print_list(found: list[Any]) -> None:
    from search.cli.output import console, table

    made = table("space", "dataset", "searched", "baselines", "what it is", right=("searched",))
    for space in found:
        baselines = ", ".join(space.baselines)
        made.add_plain_row(
            space.name, space.dataset, str(len(space.searched())), baselines, space.summary
        )
    console.print(made)


def _print_space(space: Any) -> None:
    from rich.markup import escape

    from search.cli.output import console, table, value_text

    height, width, channels = space.image.shape
    console.print(f"[bold]{escape(space.name)}[/]: {escape(space.summary)}")
    console.print(f"images {height}x{width}x{channels}, dataset {space.dataset}\n")
    made = table("parameter", "range", "only when", *space.baselines)
    settings = [space.complete(setting) for setting in space.baselines.values()]
    for parameter in space.parameters:
        fixed = f"{value_text(parameter.default)} (of {parameter.describe()})"
        when = parameter.when
        made.add_plain_row(
            parameter.name,
            fixed if parameter.fixed else parameter.describe(),
            f"{when[0]} = {value_text(when[1])}" if when else "",
            *(value_text(s[parameter.name]) if parameter.name in s else "-" for s in settings),
        )
    console.print(made)
    console.print(
        "\nOne value in `range`: held there until `--set` frees it, as in"
        " `--set batch_size=32,64,128`."
    )
