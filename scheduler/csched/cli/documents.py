"""Reading back what csched itself has written: plans and snapshots."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

MOST_MIB = 1024


def read_document(file: Path, model: "type[Model]") -> "Model":
    """Raises InputError with the file and the field of what is wrong."""
    from pydantic import ValidationError

    from csched.errors import Where
    from csched.formats.files import read_text
    from csched.formats.validation import input_error

    text = read_text(file, max_mib=MOST_MIB)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise input_error(
            error, lambda path: Where(str(file), field=".".join(map(str, path)) or None), model
        ) from error
