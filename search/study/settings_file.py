"""A file of settings, YAML of unknown origin: a mapping of plain values, or one clear error."""

from pathlib import Path
from typing import Any

import yaml

from search.errors import SettingsError

MAX_BYTES = 1 << 20
# What PyYAML raises for values with a tag that they do not fit, such as `!!bool x`.
_ODDITIES = (LookupError, TypeError, AttributeError, ArithmeticError)


class _Plain(yaml.SafeLoader):
    """Makes plain values; none may stand for another, which could say a thing a billion times."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "values must be written out", mark)
        return super().compose_node(parent, index)


def read_mapping(path: Path) -> dict[Any, Any]:
    """Return the mapping in a YAML file.

    Raises:
        SettingsError: no such file, too large, or not a YAML mapping of plain values.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        data = _Plain(content.decode("utf-8-sig")).get_single_data()
    except RecursionError as error:
        raise SettingsError(f"`--config {path}` cannot be read: it is nested too deep") from error
    except (OSError, yaml.YAMLError, ValueError, *_ODDITIES) as error:
        told = " ".join(str(error).split())[:500] or type(error).__name__
        raise SettingsError(f"`--config {path}` cannot be read: {told}") from error
    if not isinstance(data, dict):
        raise SettingsError(f"`--config {path}` must hold `option: value` lines, as in `folds: 5`")
    return data
