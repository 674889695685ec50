"""A study's report: its pictures, and one HTML file that needs nothing beside it.

Figures are drawn from the journal alone, so they are the same whichever driver proposed.
`figures.figures` gives them by name, `writing.write_report` writes the page.
"""
