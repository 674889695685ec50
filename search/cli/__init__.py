"""The command line: one module a command; each parses, wires and prints. Nothing else prints."""
