"""The parts of the metadata that depend on where the repository is published.

The README links to files beside it. On a package index these links lead somewhere only in full, so
they are completed with the repository's address, if there is one: FOLDWISE_REPOSITORY, else git's
remote `origin`, else the address in an unpacked source distribution. Without an address links
become plain text there, and pictures are left out.
"""

import os
import re
import subprocess
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import urlsplit

from setuptools import setup

HERE = Path(__file__).parent
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def repository() -> str:
    """Return the https address of the repository, without credentials; empty if it has none."""
    return _web(os.environ.get("FOLDWISE_REPOSITORY", "")) or _web(_origin()) or _noted()


def completed(text: str, address: str) -> str:
    """Return a page of Markdown whose links to files of the repository are complete.

    Args:
        text: the page, of the repository's topmost folder.
        address: the repository's; empty: such links become text, and such pictures go.
    """

    def link(found: "re.Match[str]") -> str:
        mark, words, target = found.groups()
        words = _LINK.sub(link, words)
        if address:
            return f"{mark}[{words}]({address}/{'raw' if mark else 'blob'}/HEAD/{target})"
        return "" if mark else words

    return _LINK.sub(link, text)


def _web(remote: str) -> str:
    """Return a git remote's page, for `git@HOST:PATH` too; empty for a folder."""
    ssh = r"^(?:ssh://git@([^:/]+)(?::\d+)?/|git@([^:/]+):)"  # a port of SSH's is not the page's
    remote = re.sub(ssh, lambda found: f"https://{found[1] or found[2]}/", remote.strip())
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"https://{parts.hostname}{port}{parts.path.rstrip('/').removesuffix('.git')}"


def _origin() -> str:
    if not (HERE / ".git").exists():  # an outer repository is another project's
        return ""
    command = ["git", "-C", str(HERE), "remote", "get-url", "origin"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _noted() -> str:
    """Return the address that a source distribution was made with."""
    try:
        noted = HeaderParser().parsestr((HERE / "PKG-INFO").read_text(encoding="utf-8"))
    except OSError:
        return ""
    for label, _, address in (text.partition(", ") for text in noted.get_all("Project-URL") or ()):
        if label == "Repository":
            return address
    return ""


def pages(address: str) -> dict[str, str]:
    """Return the addresses that an index shows beside the description."""
    if not address:
        return {}
    return {
        "Repository": address,
        "Documentation": f"{address}/tree/HEAD/docs",
        "Changelog": f"{address}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


if __name__ == "__main__":
    setup(
        long_description=completed((HERE / "README.md").read_text("utf-8"), repository()),
        long_description_content_type="text/markdown",
        project_urls=pages(repository()),
    )
