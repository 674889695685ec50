"""The file with a study's settings: which is read, how, and what it may not choose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from search.errors import SettingsError

CONFIG = Path("foldwise.yaml")  # read where a command is called, if no file is named
# Settings that may name code to run, or machines to run it on.
_OF_CODE = ("space", "objective", "metrics", "sampler")
_MAX_BYTES = 1 << 20
# What PyYAML raises for values with a tag that they do not fit, such as `!!bool x`.
_ODDITIES = (LookupError, TypeError, AttributeError, ArithmeticError)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file; keys are the options without their leading dashes.

    Raises:
        SettingsError: the file is missing or not a YAML mapping.
    """
    data = _read_mapping(path)
    named = {str(key).replace("-", "_"): value for key, value in data.items()}
    overrides = named.pop("set", None) or {}
    if not isinstance(overrides, dict):
        raise SettingsError(
            f"`set` in {path} must hold `parameter: value` lines; got {overrides!r}"
        )
    if overrides:
        named["set"] = {str(key): value for key, value in overrides.items()}
    if "study" in named:
        named["study"] = str(named["study"])  # 2026 is a valid name, too
    return named


def check_runs_no_code(found: Mapping[str, Any], path: Path) -> None:
    """Check that settings of a file that nobody named run no code of its choice.

    Raises:
        SettingsError: one of them names code, or the address of a cluster.
    """
    for name in (*_OF_CODE, "ray_address"):
        value = found.get(name)
        texts = [str(one) for one in value] if isinstance(value, list) else [str(value or "")]
        if any(":" in text for text in texts) or (name == "ray_address" and value):
            shown = ",".join(texts)
            raise SettingsError(
                f"`{name}: {shown}` in {path}: a file that is read because it lies here must not"
                f" choose what code runs, or where. Give it yourself:"
                f" `--{name.replace('_', '-')} {shown}`, or `--config {path}` for the whole file"
            )


class _Plain(yaml.SafeLoader):
    """Loads plain values; aliases are refused, as they can repeat a value a billion times."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "values must be written out, without aliases", mark
            )
        return super().compose_node(parent, index)


def _read_mapping(path: Path) -> dict[Any, Any]:
    """Return the mapping in a YAML file.

    Raises:
        SettingsError: the file is missing, too large, or not a YAML mapping of plain values.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        data = _Plain(content.decode("utf-8-sig")).get_single_data()
    except RecursionError as error:
        raise SettingsError(
            f"the settings in {path} cannot be read: they are nested too deep"
        ) from error
    except (OSError, yaml.YAMLError, ValueError, *_ODDITIES) as error:
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        raise SettingsError(f"the settings in {path} cannot be read: {reason}") from error
    if not isinstance(data, dict):
        raise SettingsError(f"{path} must hold `option: value` lines, as in `folds: 5`")
    return data
