"""A study's report, filed with its run."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.records import ReportWritten

if TYPE_CHECKING:
    from tracking.mlflow.store import MlflowStore

REPORT_FILE = "report.html"


def show_report(store: "MlflowStore", run_id: str, record: ReportWritten) -> None:
    """File the report with a study's run; the tag `search.report` says where it was written.

    A file that is gone, or was replaced by a later report, is not filed.
    """
    try:
        content = Path(record.file).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() == record.sha256:
        store.upload(run_id, {REPORT_FILE: content})
        store.log(run_id, tags={"search.report": REPORT_FILE})
    else:
        note = f"not filed: {record.file} is no longer this report"
        store.log(run_id, tags={"search.report": note})
