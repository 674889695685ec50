"""What workers on other machines need of the home: files that travel, and each machine's copies."""

import fcntl
import hashlib
import io
import json
import os
import secrets
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from search.data.arrays import array_file, array_names, map_array
from search.data.dataset import FILE, Manifest
from search.errors import DataError, SettingsError
from search.executors.protocol import Work
from tracking.home import StudyFolder

CODE = "code"  # folder of the user's own modules in a study's bundle
PIECE_BYTES = 1 << 24

Source: TypeAlias = Path | bytes

_OWN_PACKAGES = ("search", "spaces", "tracking")  # every node has them installed

VARIABLE = "FOLDWISE_NODE_CACHE"
_LOCK = "lock"


@dataclass(frozen=True)
class Bundle:
    """Files that belong together.

    Attributes:
        digest: SHA-256 (hex) of what they hold; a folder called so has these files.
        sizes: name, with slashes, and bytes of each.
    """

    digest: str
    sizes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Parcel:
    """A bundle together with where its content comes from; it stays at the coordinator.

    Attributes:
        bundle: what is told of it.
        sources: for each file its path here, or its bytes.
    """

    bundle: Bundle
    sources: Mapping[str, Source]

    @classmethod
    def of(cls, sources: Mapping[str, Source], digest: str) -> "Parcel":
        """Return the parcel of some files."""
        sizes = tuple((name, _size(source)) for name, source in sources.items())
        return cls(Bundle(digest, sizes), sources)

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Yield the files' names and bytes, a long file in several pieces, one after another."""
        for name, source in self.sources.items():
            with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
                yield name, file.read(PIECE_BYTES)
                while piece := file.read(PIECE_BYTES):
                    yield name, piece


def dataset_parcel(folder: Path) -> Parcel:
    """Return a dataset's training arrays as a parcel.

    The test set stays at home: in its place are arrays of the same kind without samples.

    Raises:
        DataError: the folder is no complete dataset.
    """
    manifest = Manifest.read(folder)
    sources: dict[str, Source] = {FILE: folder / FILE}
    inputs = {one.name: one.kind for one in manifest.inputs}
    for name in array_names(manifest.kind, manifest.extras, inputs):
        path = array_file(folder, name)
        of_test = path.name.startswith("test_")
        sources[str(path.relative_to(folder))] = _without_samples(path) if of_test else path
    said = json.dumps([manifest.digest, manifest.kind, *map(repr, manifest.meaning)])
    return Parcel.of(sources, hashlib.sha256(said.encode()).hexdigest())


def study_parcel(work: Work) -> Parcel:
    """Return a study's folds and the user's own modules that its space is made of."""
    folder = StudyFolder(Path(work.folder))
    paths = {path.name: path for path in (folder.folds, folder.confirmation_folds) if path.exists()}
    code = code_files(work.space, Path(work.declarations))
    paths |= {f"{CODE}/{name}": path for name, path in code.items()}
    sources: dict[str, Source] = {name: path.read_bytes() for name, path in sorted(paths.items())}
    digest = hashlib.sha256()
    for name, source in sources.items():
        digest.update(f"{name} {len(source)}\n".encode())  # type: ignore[arg-type] # bytes
        digest.update(source)  # type: ignore[arg-type]
    return Parcel.of(sources, digest.hexdigest())


def reference_at(reference: str, code: Path) -> str:
    """Return the reference of a space whose modules were put into a folder called `code`."""
    place, colon, attribute = reference.rpartition(":")
    is_file = bool(colon) and place.endswith(".py")
    return f"{code / Path(place).name}:{attribute}" if is_file else reference


def code_files(reference: str, declarations: Path) -> dict[str, Path]:
    """Return the user's own modules that a space rests on, by their names for an import.

    They are known from when the coordinator looked at the reference; what is installed is left out,
    as every node has it installed.

    Args:
        reference: of the space.
        declarations: folder of what was learned of references.
    """
    place, colon, _ = reference.rpartition(":")
    if not colon:
        return {}
    is_file = place.endswith(".py")
    first = Path(place).resolve().parent if is_file else Path.cwd()
    listed = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    roots = (first, *(Path(entry).resolve() for entry in listed))
    found = {Path(place).name: Path(place).resolve()} if is_file else {}
    for path in _modules(place, declarations):
        root = next((root for root in roots if path.is_relative_to(root)), None)
        if root is not None and not _is_installed(path, root):
            found[path.relative_to(root).as_posix()] = path
    return found


def _modules(place: str, declarations: Path) -> Iterator[Path]:
    """Yield the files that a declaration of a module or file rests on, as far as they are there."""
    name = place if place.endswith(".py") else f"/{place.replace('.', '/')}"
    ends = (name, f"{name}.py", f"{name}/__init__.py")
    for file in sorted(declarations.glob("*.json")):
        try:
            sources = list(json.loads(file.read_text(encoding="utf-8"))["sources"])
        except (OSError, ValueError, LookupError, TypeError):
            continue  # none of these files; the worker looks at the reference itself
        if any(source.endswith(ends) for source in sources):
            yield from (Path(source) for source in sources if Path(source).is_file())


def _is_installed(path: Path, root: Path) -> bool:
    """Whether a module is a package's, which every node has installed, and not the user's own.

    What lies in a virtual environment below `root`, from where it would be imported, is a
    package's, whichever Python runs this; a user's project may itself lie in an environment.
    """
    named = ("stdlib", "platstdlib", "purelib", "platlib")
    here = Path(__file__).resolve().parents[3]
    installed = [Path(sysconfig.get_path(name)).resolve() for name in named]
    installed += [here / name for name in _OWN_PACKAGES]
    return any(
        folder in installed
        or folder.name in ("site-packages", "dist-packages")
        or (root in folder.parents and (folder / "pyvenv.cfg").exists())
        for folder in path.parents
    )


def _without_samples(path: Path) -> bytes:
    array = map_array(path)
    file = io.BytesIO()
    np.save(file, np.empty((0, *array.shape[1:]), array.dtype))
    return file.getvalue()


def _size(source: Source) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


Fetch: TypeAlias = Callable[[Bundle], Iterable[tuple[str, bytes]]]


def cache_root() -> Path:
    """Return this machine's folder for what travels to it, made where it is missing.

    It is `$FOLDWISE_NODE_CACHE`, or a folder of the user's among the temporary files.

    Raises:
        SettingsError: the folder is somebody else's: the code in it would run as us.
    """
    named = os.environ.get(VARIABLE)
    root = Path(named) if named else Path(tempfile.gettempdir()) / f"foldwise-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise SettingsError(
            f"{root} must belong to the user that Ray runs as; it belongs to user"
            f" {root.stat().st_uid}. Name another folder with the environment variable {VARIABLE}."
        )
    return root


def place(bundle: Bundle, root: Path, fetch: Fetch) -> Path:
    """Return the folder with a bundle's files, fetched unless they are there already.

    Of several workers that start at once one fetches and the others wait for it. The folder is
    whole or absent, whenever a worker or the machine goes down.

    Args:
        bundle: what is wanted.
        root: the machine's cache.
        fetch: yields names and bytes of the bundle's files, in order, long files in pieces.

    Raises:
        DataError: what came is not what was announced.
        OSError: there is no room.
    """
    folder = root / bundle.digest
    with _locked(root / f"{bundle.digest}.lock"):
        if not _is_whole(folder, bundle):
            for left in (folder, *root.glob(f".{bundle.digest}.*")):  # by who was ended meanwhile
                shutil.rmtree(left, ignore_errors=True)
            partial = root / f".{bundle.digest}.{secrets.token_hex(4)}"
            try:
                _write(partial, bundle, fetch)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Lend an empty folder of one worker's own; those that dead workers left are removed."""
    with _locked(root / _LOCK):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root))
        held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _write(folder: Path, bundle: Bundle, fetch: Fetch) -> None:
    for name, _ in bundle.sizes:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name, piece in fetch(bundle):
        with (folder / name).open("ab") as file:
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())  # the folder's name will say that it is whole
    if not _is_whole(folder, bundle):
        raise DataError(
            f"the files of bundle {bundle.digest[:12]} did not arrive as they were announced; did"
            " the home change meanwhile? Run the same command again."
        )


def _is_whole(folder: Path, bundle: Bundle) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in bundle.sizes)
    except OSError:
        return False


def _sweep(root: Path) -> None:
    for folder in root.glob("worker-*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # one that was being removed: ours get their lock before anybody looks
            shutil.rmtree(folder, ignore_errors=True)
            continue
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # let go of by the system, too, when we die
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
