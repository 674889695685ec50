import io
import logging

import pytest

from tracking.secrets import (
    keep_out_of_logs,
    place_of,
    secrets_in,
    shown_address,
    without_secrets,
)

SECRET = "hunter2-hunter2"  # noqa: S105 - of nobody
ADDRESSES = [
    f"https://ada:{SECRET}@host:5000/path?token={SECRET}",
    f"https://{SECRET}@host/path",
    f"https://host/path?{SECRET}",
    f"https://host/path#{SECRET}",
    f"postgresql://ada:{SECRET}@host/db?password={SECRET}",
    f"postgresql+psycopg2://ada:{SECRET}%40more@host/db",
    f"https://ada:slash/{SECRET}@host/path",
    f"https://ada:at@{SECRET}@host/path",
    f"https://ada:what?{SECRET}@host/path",
    f"https://host/path?mail=a@b&token={SECRET}",
    f"ada:{SECRET}@host",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_is_shown_with_its_secret(address):
    assert SECRET not in shown_address(address)
    assert SECRET not in place_of(address)
    assert any(SECRET in secret for secret in secrets_in(address))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://ada:pw@host:5000/path?x=1", "https://host:5000/path"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_what_is_no_secret_is_shown(address, shown):
    assert shown_address(address) == shown


def test_a_new_password_or_token_is_the_same_place_and_another_database_is_not():
    one = place_of("postgresql://ada:old-one@host/db?password=old&options=-csearch_path=x")
    assert one == place_of("postgresql://ada:new-one@host/db?password=new&options=-csearch_path=x")
    assert one != place_of("postgresql://ada:old-one@host/db?password=old&options=-csearch_path=y")
    assert place_of("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "message",
    [
        f"API request to https://ada:{SECRET}@host/api failed",
        f"(https://ada:p/{SECRET}@host) refused",
        f"Max retries exceeded with url: /path?token={SECRET}/api/2.0 (Caused by x)",
        f"could not connect: postgresql://host/db?user=a&password={SECRET}'",
    ],
)
def test_addresses_within_messages_are_masked_without_knowing_the_secret(message):
    masked = without_secrets(message)
    assert SECRET not in masked
    assert "***" in masked


def test_a_secret_is_masked_in_every_form_it_may_take():
    secrets = secrets_in("https://ada:s%40cret%2Fword@host")
    for form in ("s%40cret%2Fword", "s@cret/word", "Basic YWRhOnNAY3JldC93b3Jk"):
        assert without_secrets(f"got {form}!", secrets) in ("got ***!", "got Basic ***!")


def test_passwords_of_the_environment_are_secrets(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    assert without_secrets(f"401 for {SECRET}", secrets_in("https://host")) == "401 for ***"


def test_nothing_that_is_logged_afterwards_tells_a_secret(monkeypatch):
    stream = io.StringIO()
    logger = logging.getLogger("some.library")
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(stream)])
    monkeypatch.setattr(logger, "propagate", False)
    before = logging.getLogRecordFactory()
    try:
        keep_out_of_logs({SECRET})
        logger.warning("trying %s again", SECRET)
        try:
            try:
                raise ValueError(SECRET)
            except ValueError as cause:
                raise OSError(f"https://ada:other-one@host {SECRET}") from cause
        except OSError:
            logger.exception("failed")
    finally:
        logging.setLogRecordFactory(before)
    assert "trying *** again" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert SECRET not in stream.getvalue()
    assert "other-one" not in stream.getvalue()
