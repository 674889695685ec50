"""A password in a tracking address is told to nobody: not printed, not logged, not kept."""

import socket

import pytest

from tests.functional.conftest import TINY

pytestmark = pytest.mark.slow

SECRET = "hunter2hunter2"  # noqa: S105 - of nobody
HASTY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def told(user, done) -> list[str]:
    """Return where the secret stands: in what was said, or in which files."""
    places = [name for name in ("out", "err") if SECRET in getattr(done, name)]
    files = (path for path in user.folder.rglob("*") if path.is_file())
    return places + [str(path) for path in files if SECRET.encode() in path.read_bytes()]


def test_a_server_that_refuses_does_not_bring_a_password_to_light(user):
    address = f"http://ada:{SECRET}@127.0.0.1:{closed_port()}/at?token={SECRET}"
    given = ("--study", "toy", "--tracking-uri", address)
    done = user.here("run", *TINY, "--trials", "1", *given, **HASTY)
    assert done.code == 0
    assert "still to reach MLflow" in done.err
    assert told(user, done) == []
    done = user.here("run", *given, "--trials", "1", "--json", **HASTY)
    assert done.json["records_not_in_mlflow"] > 0
    assert told(user, done) == []
    done = user.here("export", "toy", "--to", "model", "--tracking-uri", address, **HASTY)
    assert done.code == 0
    assert told(user, done) == []


@pytest.mark.parametrize(
    ("how", "address"),
    [
        ("environment", f"http://ada:{SECRET}/with-a-slash@127.0.0.1:PORT/?{SECRET}"),
        ("argument", f"mysql+pymysql://ada:{SECRET}@127.0.0.1:PORT/db?charset={SECRET}"),
        ("argument", f"nothing://ada:{SECRET}@127.0.0.1:PORT"),
    ],
)
def test_no_kind_of_address_tells_its_password(kept, address, how):
    address = address.replace("PORT", str(closed_port()))
    arguments = ("--tracking-uri", address) if how == "argument" else ()
    environment = {"MLFLOW_TRACKING_URI": address} if how == "environment" else {}
    done = kept("sync", *arguments, **environment, **HASTY, MLFLOW_TRACKING_PASSWORD=SECRET)
    assert done.code != 0
    assert "Error" in done.err
    assert "Traceback" not in done.err
    assert told(kept, done) == []
