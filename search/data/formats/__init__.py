"""File formats of datasets, one module each."""
