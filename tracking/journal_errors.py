"""What can be wrong with a journal, and what to do about it."""

import shlex
from pathlib import Path

_DEFAULT_HOME = Path("mlruns")


def repair_command(journal: Path) -> str:
    """Return the command that sets aside what is damaged in the home of a study's journal."""
    home = journal.parent.parent.parent
    more = () if home == _DEFAULT_HOME else ("--home", str(home))
    return shlex.join(("python", "-m", "search", "doctor", "--repair", *more))


class JournalError(ValueError):
    """A journal that cannot be read or written; the message says where and what to do."""

    @classmethod
    def damaged(cls, path: Path, number: int, position: int, fault: Exception) -> "JournalError":
        """Return the error for a damaged line that a sound one follows."""
        return cls(
            f"{path}, line {number}: {fault} (at byte {position:,}). Every line before it is sound."
            f" Set aside what is damaged with `{repair_command(path)}`, which keeps a copy of the"
            " whole file."
        )

    @classmethod
    def broken(cls, path: Path, number: int, position: int) -> "JournalError":
        """Return the error for a sound line that does not follow the one before it."""
        return cls(
            f"{path}, line {number}: it does not follow the line before it (at byte {position:,}):"
            " lines are missing, doubled, inserted or in another order. Put back a copy of the"
            f" file; or find out what is left with `{repair_command(path)}`, which keeps a copy of"
            " the whole file."
        )

    @classmethod
    def cut_short(cls, path: Path, number: int, position: int, size: int) -> "JournalError":
        """Return the error for a journal that lacks what it held when it was closed."""
        return cls(
            f"{path}, line {number}: the journal is not the one that was closed last, which had"
            f" {size:,} bytes (it differs by byte {position:,}): its end is missing or damaged."
            " Put back a copy of the file; or go on without what is lost with"
            f" `{repair_command(path)}`, which keeps a copy of the whole file."
        )

    @classmethod
    def nothing_sound(cls, path: Path, fault: Exception) -> "JournalError":
        """Return the error for a journal without its first record, which gives the others sense."""
        return cls(
            f"{path}, line 1: {fault} (at byte 0), and no other line says what the study is. Put"
            " back a copy of the file; or move the study's folder away, and the study begins anew."
        )

    @classmethod
    def foreign(cls, path: Path, number: int, fault: Exception) -> "JournalError":
        """Return the error for a line that is sound, and that this version cannot read."""
        return cls(
            f"{path}, line {number}: {fault}. The line is sound, so a later version wrote it;"
            " use that one for this study."
        )
