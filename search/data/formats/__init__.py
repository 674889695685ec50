"""The files that data come in, one module a format."""
