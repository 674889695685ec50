"""The command line: each command parses, calls the packages below and prints."""
