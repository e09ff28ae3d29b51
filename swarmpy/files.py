"""Files that are there whole or not at all, and the removal of what is not needed."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace the file at once and whole, readable by this user alone."""
    write_whole(path, content, 0o600)


def write_whole(path: Path, content: str | bytes, mode: int) -> None:
    """Replace the file at once and whole. It has the mode before it has content, whatever the umask."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove the folder with all that is in it, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
