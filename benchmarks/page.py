"""Tables of the documentation that scripts fill."""

from pathlib import Path


def put(page: Path, name: str, made: str) -> None:
    """Replace what stands between a page's marks, `<!-- NAME: begin -->` and `... end -->`."""
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    before, is_there, rest = page.read_text().partition(begin)
    _, is_closed, after = rest.partition(end)
    if not (is_there and is_closed):
        raise SystemExit(f"{page} must have the marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n{made}\n{end}{after}")
