"""The coordinator: settings, opening, the session and its loop. Imports no framework."""
