"""The harness: folds, drivers, executors, the study loop, the command line and its functions.

    from search import StudySettings, load_study, run_study

What is named here is imported when it is used: the command line starts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import Notice, StudyResult, compare_studies, load_study, run_study
    from search.cli.live import make_display as progress
    from search.errors import DataError, FoldwiseError, SettingsError
    from search.study.settings import StudySettings

_WHERE = {
    "run_study": "search.api:run_study",
    "compare_studies": "search.api:compare_studies",
    "load_study": "search.api:load_study",
    "StudyResult": "search.api:StudyResult",
    "Notice": "search.api:Notice",
    "StudySettings": "search.study.settings:StudySettings",
    "FoldwiseError": "search.errors:FoldwiseError",
    "SettingsError": "search.errors:SettingsError",
    "DataError": "search.errors:DataError",
    "progress": "search.cli.live:make_display",
}

__all__ = [
    "DataError",
    "FoldwiseError",
    "Notice",
    "SettingsError",
    "StudyResult",
    "StudySettings",
    "compare_studies",
    "load_study",
    "progress",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        module, _, attribute = _WHERE[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
