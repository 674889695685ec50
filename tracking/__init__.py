"""What happened, kept: records, the journal, and its way into MLflow."""
