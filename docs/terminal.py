"""Run a command on a terminal of its own, and draw what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont
from rich.color import ColorTriplet, blend_rgb
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME
from rich.text import Text

_MOVES = re.compile(r"(\r?\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])")
_REFRESH = "\r\x1b[2K"  # how rich begins to draw a progress bar again
_FONT_SIZE = 22
_PADDING = 28


def record(command: Sequence[str], folder: Path, columns: int = 100) -> str:
    """Run a command on a terminal.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        columns: Width of the terminal in characters.

    Returns:
        Everything that it sent to the terminal.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(  # noqa: S603 - the commands of the documentation
        command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    output = bytearray()
    while chunk := _read(master):
        output += chunk
    os.close(master)
    process.wait()
    return output.decode(errors="replace")


def frame(output: str, fraction: float) -> str:
    """Cut the output at a moment at which a progress bar was complete.

    Args:
        output: What a command sent to the terminal.
        fraction: Which of all drawings of the bar, from 0 (the first) to 1 (the last).

    Returns:
        The output up to that moment.
    """
    starts = [found.start() for found in re.finditer(re.escape(_REFRESH), output)]
    return output[: starts[round(fraction * (len(starts) - 1))]] if starts else output


def screen(output: str) -> list[Text]:
    """Follow the movements of the cursor, as far as rich uses them.

    Args:
        output: What was sent to the terminal.

    Returns:
        The lines that are then there, with their colours.
    """
    rows, row, begins = [""], 0, True
    for piece in _MOVES.split(output):
        if piece.endswith("\n"):
            row, begins = row + 1, True
            rows += [""] * (row + 1 - len(rows))
        elif piece == "\r":
            begins = True
        elif piece == "\x1b[2K":
            rows[row] = ""
        elif piece.endswith("A") and _MOVES.fullmatch(piece):
            row = max(0, row - int(piece[2:-1] or 1))
        elif piece and not _MOVES.fullmatch(piece):
            rows[row] = piece if begins else rows[row] + piece
            begins = False
    while rows and not rows[-1].strip():
        rows.pop()
    return [Text.from_ansi(line) for line in rows]


def draw(lines: Sequence[Text], command: str, path: Path) -> None:
    """Draw a terminal.

    Args:
        lines: What is on it.
        command: The command, shown after a prompt above the lines.
        path: The PNG file to write.
    """
    regular, bold = _font("regular"), _font("bold")
    width, height = round(regular.getlength("m")), round(_FONT_SIZE * 1.3)
    shown = [Text.assemble(("$ ", "green"), (command, "bold")), *lines]
    size = (max(line.cell_len for line in shown) * width + 2 * _PADDING, len(shown) * height + 2 * _PADDING)
    picture = Image.new("RGB", size, THEME.background_color)
    canvas = ImageDraw.Draw(picture)
    console = Console(width=1000, color_system="truecolor", force_terminal=True)
    for number, line in enumerate(shown):
        x = _PADDING
        for part in line.render(console):
            style = part.style if isinstance(part.style, Style) else Style.parse(part.style or "")
            font = bold if style.bold else regular
            for character in part.text.replace("\n", ""):
                canvas.text((x, _PADDING + number * height), character, font=font, fill=tuple(_color(style)))
                x += width
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(128).save(path, optimize=True)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so when the last process has closed the terminal
        return b""


def _font(weight: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans Mono", weight=weight)), _FONT_SIZE)


def _color(style: Style) -> ColorTriplet:
    color = style.color.get_truecolor(THEME) if style.color else ColorTriplet(*THEME.foreground_color)
    return blend_rgb(color, THEME.background_color, 0.45) if style.dim else color
