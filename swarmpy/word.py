"""What the managers said last of this node: its agent writes it down, its supervisor reads it."""

from pathlib import Path

from pydantic import ValidationError

from swarmpy.files import write_private
from swarmpy.membership import NodeWord

FILE_NAME = "word.json"


def load_word(folder: Path) -> NodeWord | None:
    """None when nothing was said yet, or it cannot be read: the managers say it again."""
    try:
        return NodeWord.model_validate_json((folder / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def save_word(folder: Path, word: NodeWord) -> None:
    """Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder / FILE_NAME, word.model_dump_json())
