import hashlib

import pytest

from tracking.records import ReportWritten

pytestmark = pytest.mark.slow  # shows a study to a real store


@pytest.fixture
def reported(study, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(b"<p>a report</p>")
    study.every_kind_of_trial()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    study.add(ReportWritten, file=str(path), sha256=digest)
    return path


def test_a_report_is_filed_with_the_study(tracked, study, apply_all, reported):
    apply_all(tracked.sink(), study.records)
    run = tracked.run("study")
    assert tracked.files(run)["report.html"] == b"<p>a report</p>"
    assert run.data.tags["search.report"] == "report.html"


def test_a_report_that_was_replaced_is_not_filed(tracked, study, apply_all, reported):
    reported.write_bytes(b"another")
    apply_all(tracked.sink(), study.records)
    run = tracked.run("study")
    assert "report.html" not in tracked.files(run)
    assert "no longer this report" in run.data.tags["search.report"]
