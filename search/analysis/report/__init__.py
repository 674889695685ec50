"""The report of a study: its figures, and a self-contained HTML file.

Figures use only the journal, so they are the same for all drivers. `figures.figures` returns them
by name, `writing.write_report` writes the page.
"""
