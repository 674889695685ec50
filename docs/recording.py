"""Record a command in a terminal as an animated picture, SVG.

    python docs/recording.py --out docs/images/recording.svg 'foldwise run --space lenet --trials 8'

The command runs in a pseudo-terminal, in a new folder; what it draws is played as fast as `--speed`
says, with pauses cut short. The picture needs neither script nor font; who asks for less motion
sees its end.
"""

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import pyte

WIDTH, HEIGHT = 8.4, 18  # of a character's cell
LONGEST_PAUSE = 1.0  # seconds, as played
SHOWN_AT_THE_END = 6.0  # seconds
SHORTEST = 0.2  # of a picture, seconds, as played
COLOURS = {
    "default": "#d8dee9",
    "black": "#4c566a",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "yellow": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#f0f6fc",
}


@dataclass(frozen=True)
class Picture:
    """What the terminal showed from some moment on.

    Attributes:
        at: seconds since the command was typed.
        rows: each row as SVG's `tspan` elements; empty where it is blank.
    """

    at: float
    rows: tuple[str, ...]


def main() -> None:
    """Record a command and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--lines", type=int, default=34)
    parser.add_argument("--speed", type=float, default=6.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = record(asked.command, Path(folder), asked.columns, asked.lines)
    svg = drawn(pictures, asked.columns, asked.lines, asked.speed)
    asked.out.write_text(svg)
    print(f"{asked.out}: {len(pictures)} pictures, {len(svg) / 1024:.0f} KB")


def record(command: str, folder: Path, columns: int, lines: int, **variables: str) -> list[Picture]:
    """Return what a command shows in a terminal of its own.

    Args:
        command: for a shell.
        folder: where it runs, shown as `~`.
        columns: of the terminal.
        lines: of the terminal; what is above them is lost.
        variables: of the environment, beside those of this process.

    Raises:
        SystemExit: The command failed.
    """
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    stream.feed(f"\x1b[1;32m$\x1b[0m {command}\r\n".encode())
    pictures = [Picture(0.0, _rows(screen))]
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sizes = ("COLUMNS", "LINES")  # the terminal's own count
    surroundings = {n: v for n, v in os.environ.items() if n not in sizes}
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**surroundings, "TERM": "xterm-256color", "PATH": path, **variables},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    began = time.monotonic()
    while True:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            stream.feed(os.read(terminal, 1 << 16).replace(str(folder).encode(), b"~"))
        except OSError:  # the command has ended
            break
        pictures.append(Picture(time.monotonic() - began, _rows(screen)))
    if code := process.wait():
        sys.exit(f"the command ended with {code}; it showed:\n" + "\n".join(screen.display))
    return [next(same) for _, same in groupby(pictures, key=lambda picture: picture.rows)]


def _rows(screen: pyte.Screen) -> tuple[str, ...]:
    rows = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        parts, x = [], 0
        for style, group in groupby(cells, key=lambda c: (c.fg, c.bold, c.reverse)):
            text = "".join(cell.data for cell in group)
            if text.strip() or style[2]:
                start = len(text) - len(text.lstrip(" "))
                parts.append(_part(x + start, text.strip(" "), *style))
            x += len(text)
        rows.append("".join(parts))
    return tuple(rows)


def _part(x: int, text: str, colour: str, bold: bool, reverse: bool) -> str:
    del reverse
    plain = colour.removeprefix("bright")
    fill = COLOURS.get(plain, f"#{colour}" if len(colour) == 6 else COLOURS["default"])
    look = "" if fill == COLOURS["default"] else f' fill="{fill}"'
    weight = ' font-weight="bold"' if bold else ""
    length = f' textLength="{len(text) * WIDTH:.1f}"'  # whatever the font
    return f'<tspan x="{x * WIDTH:.1f}"{length}{look}{weight}>{escape(text)}</tspan>'


def drawn(pictures: list[Picture], columns: int, lines: int, speed: float) -> str:
    """Return pictures as one that plays them, again and again."""
    shown, begins = _played(pictures, speed)
    whole = begins[-1] + SHOWN_AT_THE_END
    used = max(len(p.rows) - next((i for i, r in enumerate(p.rows[::-1]) if r), 0) for p in shown)
    width, height = columns * WIDTH + 32, min(used, lines) * HEIGHT + 56
    rules, groups = [], []
    known: dict[str, int] = {}  # rows by their texts; most are in many pictures
    for number, (picture, begin) in enumerate(zip(shown, begins, strict=True)):
        end = begins[number + 1] if number + 1 < len(shown) else whole
        last = number + 1 == len(shown)
        start, stop = 100 * begin / whole, 100 * end / whole
        rules.append(
            f"@keyframes p{number}{{0%{{opacity:{int(start == 0)}}}{start:.3f}%{{opacity:1}}"
            f"{min(stop, 100):.3f}%{{opacity:{int(last)}}}100%{{opacity:{int(last)}}}}}"
            f"#p{number}{{animation:p{number} {whole:.1f}s step-end infinite}}"
        )
        lined = ((y, row) for y, row in enumerate(picture.rows) if row)
        texts = "".join(
            f'<use href="#r{known.setdefault(row, len(known))}" y="{y * HEIGHT}"/>'
            for y, row in lined
        )
        hidden = "" if last else ' class="o"'
        groups.append(f'<g id="p{number}"{hidden}>{texts}</g>')
    rows = "".join(f'<text id="r{number}">{row}</text>' for row, number in known.items())
    dots = "".join(
        f'<circle cx="{20 + 18 * i}" cy="18" r="5.5" fill="{colour}"/>'
        for i, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}">'
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        f"monospace;fill:{COLOURS['default']};white-space:pre}}.o{{opacity:0}}{''.join(rules)}"
        "@media(prefers-reduced-motion:reduce){g{animation:none!important}}</style>"
        f"<defs>{rows}</defs>"
        f'<rect width="100%" height="100%" rx="8" fill="#161b22"/>{dots}'
        f'<g transform="translate(16 54)" style="animation:none">{"".join(groups)}</g></svg>\n'
    )


def _played(pictures: list[Picture], speed: float) -> tuple[list[Picture], list[float]]:
    """Return the pictures to play, and when each begins: seconds, fast and without long pauses."""
    shown, begins, now = [pictures[0]], [0.0], 0.0
    for before, picture in pairwise(pictures):
        now += min((picture.at - before.at) / speed, LONGEST_PAUSE)
        if now - begins[-1] < SHORTEST and len(shown) > 1:
            shown[-1] = picture
        else:
            shown.append(picture)
            begins.append(now)
    return shown, begins


if __name__ == "__main__":
    main()
