"""The harness: folds, drivers, executors, the study loop, the command line and its functions.

    from search import StudySettings, load_study, run_study

What is named here is imported when it is used: the command line starts without it.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
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


def check_names() -> None:
    """Check that this project's other packages are what their names are imported as.

    Raises:
        ImportError: a file or package of somebody else's stands in the way.
    """
    own = Path(__file__).resolve().parents[1]
    for name in ("spaces", "tracking"):
        found = _origin_of(name)
        if found is None or found.resolve().parents[1] == own:
            continue
        stands = found.parent if found.name == "__init__.py" else found
        raise ImportError(
            f"`{name}` must be the package of this project, in {own}; Python finds {stands} first."
            " Rename that, or take its folder off the path (PYTHONPATH, or the folder you are in)."
        )


def _origin_of(name: str) -> Path | None:
    """Return the file that an import of a name runs, or ran; None where there is none."""
    loaded = sys.modules.get(name)
    spec = find_spec(name) if loaded is None else None
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    return None if origin is None else Path(origin)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        check_names()
        module, _, attribute = _WHERE[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
