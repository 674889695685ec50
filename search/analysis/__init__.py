"""What a study's records say: comparisons and the report."""
