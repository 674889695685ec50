"""Commands whose help fits every terminal, with examples, and options' other names."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.console import Group as Lines
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from search.cli.output import console
from search.errors import FoldwiseError
from tracking.text import joined

OPTIONS, ARGUMENTS, EXAMPLES = "Options", "Arguments", "Examples"
# By the name that help shows: another one that is understood as well, in every command.
OTHER_NAMES = {"--out": "--to"}

_OPTION = re.compile(r"`(--[a-z][a-z-]*)")  # as messages begin with one
_TERMS = 28  # characters for options and their short names
_WIDE = 80  # columns from which help stands beside its option

_BRACES = str.maketrans("", "", "{}")  # that Typer puts around arguments

Term = tuple[str, str]  # an option or a command, and what it does


class Command(TyperCommand):
    """A command; its epilog is a list of examples, a line each: `COMMAND  # what it does`."""

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which also understands the options' other names."""
        parser = super().make_parser(ctx)
        known = parser._long_opt
        for name, other in OTHER_NAMES.items():
            if name in known:
                known.setdefault(other, known[name])
        return parser

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error that names another command's option says whose it is.

        What reads data or settings does not know which command it works for.
        """
        try:
            return super().invoke(ctx)
        except FoldwiseError as error:
            error.args = (_with_owners(str(error), self, ctx.parent),)
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        del formatter
        console.print(_help(self, ctx, _panels(self, ctx)))


class Group(TyperGroup):
    """All commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of commands."""
        del formatter
        panels: dict[str, list[Term]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = str(getattr(command, "rich_help_panel", "") or "Commands")
                told = (command.help or "").split("\n\n")[0]
                panels.setdefault(panel, []).append((name, " ".join(told.split())))
        console.print(_help(self, ctx, panels | _panels(self, ctx)))


def _with_owners(message: str, command: Command, group: Any) -> str:
    known = _options_of(command)
    others = _options_of(group.command.commands["run"]) - known if group else set()
    named = [each for each in dict.fromkeys(_OPTION.findall(message)) if each in others]
    if not named:
        return message
    are = "is an option" if len(named) == 1 else "are options"
    return f"{message} ({joined(f'`{each}`' for each in named)} {are} of `run`.)"


def _options_of(command: Any) -> set[str]:
    return {o for each in command.params for o in (*each.opts, *each.secondary_opts)}


def _panels(command: Any, ctx: Any) -> dict[str, list[Term]]:
    """Return arguments and options by their groups; those without one come last."""
    panels: dict[str, list[Term]] = {ARGUMENTS: []}
    rest: list[Term] = []
    for parameter in command.get_params(ctx):
        record = _record(parameter, ctx)
        if record is None:
            continue
        panel = getattr(parameter, "rich_help_panel", None)
        is_option = parameter.param_type_name == "option"
        if is_option and not panel:
            rest.append(record)
        else:
            panels.setdefault(panel or ARGUMENTS, []).append(record)
    return {name: terms for name, terms in (panels | {OPTIONS: rest}).items() if terms}


def _record(parameter: Any, ctx: Any) -> Term | None:
    """Return how an option or argument is written, and its help; None for a hidden one."""
    record = parameter.get_help_record(ctx)
    if record is None:
        return None
    term, told = record
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or term), told.replace("[required]", "")
    if parameter.secondary_opts and not parameter.default and "default: no-" in told:
        return term.partition(" / ")[0], told.rpartition("[")[0]  # off, as every flag is
    return term, told


def _help(command: Any, ctx: typer.Context, panels: dict[str, list[Term]]) -> Lines:
    usage = " ".join(command.collect_usage_pieces(ctx)).translate(_BRACES)
    lines = [Text(), *_wrapped(Text(f"Usage: {ctx.command_path} {usage}"), 0), Text()]
    for paragraph in (command.help or "").replace("\f", "").split("\n\n"):
        lines += [*_wrapped(_prose(" ".join(paragraph.split())), 0), Text()]
    lengths = [len(term) for terms in panels.values() for term, _ in terms]
    indent = min(_TERMS, max(lengths, default=0)) + 4 if console.width >= _WIDE else 6
    for name, terms in panels.items():
        lines.append(Text(name, style="bold"))
        for term, told in terms:
            lines += _entry(term, told, indent)
        lines.append(Text())
    if command.epilog:
        lines += [Text(EXAMPLES, style="bold"), *_examples(command.epilog.strip().splitlines())]
        lines.append(Text())
    return Lines(*lines[:-1])  # Typer ends with an empty line


def _entry(term: str, told: str, indent: int) -> list[Text]:
    """Return a term and its help: beside it where there is room, else below."""
    head, lines = Text(f"  {term}", style="cyan"), _wrapped(_prose(" ".join(told.split())), indent)
    if not lines or console.width < _WIDE or len(term) + 4 > indent:
        return [*_wrapped(head, 0), *lines]
    first = lines[0][indent:]
    return [Text.assemble(head, " " * (indent - len(head)), first), *lines[1:]]


def _wrapped(text: Text, indent: int) -> list[Text]:
    """Return the lines of a text, none with spaces at its end."""
    lines = text.wrap(console, max(20, console.width - indent))
    for line in lines:
        line.rstrip()
    return [Text.assemble(" " * indent, line) for line in lines if line]


def _examples(lines: Sequence[str]) -> Iterator[Text]:
    """Yield examples; what each does stands before it, so that it can be copied."""
    for line in lines:
        command, _, told = line.partition("  # ")
        if told:
            yield Text(f"  # {told}", style="dim")
        yield Text(f"  {command}", overflow="ignore", no_wrap=True)


def _prose(text: str) -> Text:
    """Return text with what stands in backticks in a style of its own."""
    made = Text(overflow="fold")
    for number, part in enumerate(text.split("`")):
        made.append(part, style="cyan" if number % 2 else "")
    return made
