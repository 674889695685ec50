import resource

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request

from tests.faults import bad_server as bad
from tests.faults.bad_server import BadServer
from tracking.mlflow.calls import Abandonable, ServerFault, fault_in, reason, within
from tracking.mlflow.sink import find_experiment

pytestmark = pytest.mark.slow  # imports MLflow

LONG = 300  # seconds; a test that needs them has failed


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


def fault_of(manner):
    """Ask a server of a kind; return what it did, as the user is told, and the server."""
    with BadServer(manner) as server, pytest.raises(MlflowException) as caught:
        within(LONG, lambda: find_experiment(server.address, "f" * 32))
    assert fault_in(caught.value) is not None
    return reason(caught.value), server


@pytest.mark.parametrize(
    "manner",
    [bad.hanging, bad.dripping_heads, bad.dripping_bodies, bad.dripping_until_closed],
)
def test_an_answer_that_does_not_end_is_given_up_at_the_deadline(manner):
    told, server = fault_of(manner)
    assert told == "it did not answer, or not to the end, within 1 s"
    assert server.requests == 1  # what took all the time is not tried again


def test_an_answer_without_end_takes_no_more_than_its_largest_size(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(LONG))
    fault_of(bad.answering(500))  # all is imported before memory is looked at
    monkeypatch.setattr("tracking.mlflow.transport.LARGEST_ANSWER", 32 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told, server = fault_of(bad.endless)
    assert told == "its answer is longer than 32 MB"
    assert 32 << 20 < server.sent < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # kilobytes


def test_a_server_chooses_no_pauses():
    told, server = fault_of(bad.answering(429, "Retry-After: 3600"))
    assert told == "it answers 429 (Too Many Requests)"
    assert server.requests == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_the_user_gives_the_names_of_the_variables(status):
    told, server = fault_of(bad.answering(status, body="who <b>are</b>\nyou"))
    assert told.startswith(f"it answers {status} (")
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        assert f"MLFLOW_TRACKING_{name}" in told
    assert "it says: who <b>are</b> you" in told
    assert server.requests == 1


def test_a_status_that_http_does_not_know_is_told_as_a_number():
    with BadServer(bad.answering(599)) as server, pytest.raises(MlflowException, match="599"):
        find_experiment(server.address, "f" * 32)


def test_an_upload_may_take_longer_by_its_size():
    with BadServer(bad.hanging) as server, pytest.raises(MlflowException) as caught:
        http_request(MlflowHostCreds(server.address), "/x", "PUT", data=b" " * 150_000)
    assert reason(caught.value).endswith("within 2 s")  # 2.5, rounded to even


def test_a_call_that_takes_too_long_is_not_waited_for():
    with (
        BadServer(bad.hanging) as server,
        pytest.raises(ServerFault, match="did not answer within 0 s"),
    ):
        within(0.01, lambda: find_experiment(server.address, "f" * 32))


def test_a_call_that_nobody_waits_for_asks_nothing_more():
    with BadServer(bad.answering(500)) as server:
        left = Abandonable(lambda: find_experiment(server.address, "f" * 32))
        left.abandoned = True
        left.start()
        left.join()
        assert fault_in(left.error) is not None
        assert server.requests == 0


def test_what_a_call_returns_or_raises_comes_through():
    assert within(LONG, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 // 0)
