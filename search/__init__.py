"""Hyperparameter search with k-fold cross-validation: command line and Python interface.

    from search import StudySettings, load_study, run_study

Names are imported on first use, so that the command line starts quickly.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import StudyResult, compare_studies, load_study, run_study
    from search.cli.live import progress
    from search.errors import DataError, FoldwiseError, SettingsError
    from search.notices import Notice
    from search.sklearn import KerasSearchCV, KerasSearchRegressorCV
    from search.study.settings import StudySettings

_WHERE = {
    "run_study": "search.api:run_study",
    "compare_studies": "search.api:compare_studies",
    "load_study": "search.api:load_study",
    "StudyResult": "search.api:StudyResult",
    "Notice": "search.notices:Notice",
    "StudySettings": "search.study.settings:StudySettings",
    "FoldwiseError": "search.errors:FoldwiseError",
    "SettingsError": "search.errors:SettingsError",
    "DataError": "search.errors:DataError",
    "KerasSearchCV": "search.sklearn:KerasSearchCV",
    "KerasSearchRegressorCV": "search.sklearn:KerasSearchRegressorCV",
    "progress": "search.cli.live:progress",
}

__all__ = [
    "DataError",
    "FoldwiseError",
    "KerasSearchCV",
    "KerasSearchRegressorCV",
    "Notice",
    "SettingsError",
    "StudyResult",
    "StudySettings",
    "compare_studies",
    "load_study",
    "progress",
    "run_study",
]


def check_system() -> None:
    """Check that this is a system that Foldwise runs on, and that it finds its own packages.

    Raises:
        ImportError: this is Windows, or Python would import another file or package than this
            project's as `spaces` or `tracking`.
    """
    if sys.platform == "win32":
        raise ImportError(
            "Foldwise needs Linux or macOS, as it supervises processes in ways that Windows does"
            " not have; under Windows, use it in WSL 2 (`wsl --install`, then install it there)."
        )
    own = Path(__file__).resolve().parents[1]
    for name in ("spaces", "tracking"):
        found = _origin_of(name)
        if found is None or found.resolve().parents[1] == own:
            continue
        stands = found.parent if found.name == "__init__.py" else found
        raise ImportError(
            f"`{name}` must be this project's package, in {own}; Python finds {stands} first."
            " Rename that, or remove its folder from the path (PYTHONPATH, or the current folder)."
        )


def _origin_of(name: str) -> Path | None:
    """Return the file that importing a name runs, or ran; None if there is none."""
    loaded = sys.modules.get(name)
    spec = find_spec(name) if loaded is None else None
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    return None if origin is None else Path(origin)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        check_system()
        module, _, attribute = _WHERE[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
