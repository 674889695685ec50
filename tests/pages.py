"""Does what a page of the documentation shows, in its order, as a reader would who copies it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^# ([\w-]+\.(?:py|yaml))\b")
SERVERS = {
    "ui": "Ctrl-C ends it"
}  # commands that serve until they are ended, and what they say when ready


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that a block is the content of, as its first line says."""
        named = NAMED.match(self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[str]:
        """What follows the prompts of a terminal, without comments."""
        joined = self.text.replace("\\\n", " ")
        return [
            re.sub(r"\s+#\s.*", "", c).strip()
            for c in re.findall(r"^\$ (.+)", joined, re.MULTILINE)
        ]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page or a part of it."""
    return [Block(language, body) for language, body in BLOCK.findall(text)]


def section(text: str, title: str) -> str:
    """Return a section with what is below it, up to the next heading of its level or above.

    Raises:
        KeyError: there is no such heading.
    """
    kept: list[str] = []
    level, in_block = 0, False
    for line in text.splitlines(keepends=True):
        in_block ^= line.startswith("```")
        heading = None if in_block else re.match(r"(#+) (.*)", line)
        if level and heading and len(heading[1]) <= level:
            return "".join(kept)
        if level:
            kept.append(line)
        elif heading and heading[2].strip() == title:
            level = len(heading[1])
    if not level:
        raise KeyError(title)
    return "".join(kept)


@dataclass(frozen=True)
class Reader:
    """Somebody in a folder with nothing but what the page has told to write."""

    folder: Path
    environment: dict[str, str]

    def follow(self, part: str) -> list[str]:
        """Write the files of a part of a page and run its commands; return what they print.

        Python blocks that are no files are run as scripts.
        """
        return [out for block in blocks(part) for out in self._do(block)]

    def write(self, text: str) -> None:
        """Write the files of a page alone."""
        for block in blocks(text):
            if block.file:
                (self.folder / block.file).write_text(block.text)

    def _do(self, block: Block) -> Iterator[str]:
        if block.file:
            (self.folder / block.file).write_text(block.text)
        elif block.language == "python":
            yield self._run([sys.executable, "-"], block.text)
        elif block.language == "console":
            for command in block.commands:
                yield self.shell(command)

    def shell(self, command: str) -> str:
        """Run a command line of the page; one that serves is ended when it is ready."""
        name = command.removeprefix("foldwise ").split()[0]
        if command.startswith("foldwise ") and name in SERVERS:
            return self._serve(command, SERVERS[name])
        return self._run(["/bin/bash", "-c", command])

    def _run(self, command: list[str], given: str | None = None) -> str:
        done = subprocess.run(
            command,
            input=given,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, (command, given, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout + done.stderr

    def _serve(self, command: str, ready: str) -> str:
        lines = []
        with subprocess.Popen(
            ["/bin/bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            for line in process.stdout:
                lines.append(line)
                if ready in line:
                    process.send_signal(signal.SIGINT)
        assert process.returncode in (0, 130), "".join(lines)
        return "".join(lines)


def reader(folder: Path, **environment: str) -> Reader:
    """Return a reader whose `foldwise` and `python` are those under test."""
    programs = folder / ".bin"
    programs.mkdir()
    for name, command in {"foldwise": "-m search", "python": ""}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        program.chmod(0o755)
    kept = {
        n: v for n, v in os.environ.items() if not n.startswith(("SEARCH_", "MLFLOW_", "FOLDWISE_"))
    }
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "HOME": str(folder), "COLUMNS": "100", "PYTHONPATH": str(folder)}
    return Reader(folder, {**kept, **own, **environment})
