"""Names as a client writes them: camelCase, and the way to a value within an argument, `inputs[3].maxDepth`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, get_args, get_origin

from cluster.errors import RegistryError
from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.input_errors import ValuePath
from cluster.task_types.task_type import TaskType
from graphql_api.strawberry_internals import to_camel_case

NAME: Final = re.compile(r"(?!__)[_A-Za-z][_0-9A-Za-z]*")
"""What GraphQL takes for a name (October 2021, section 2.1.9); two underscores in front are its own."""


def check_names(names: Iterable[str], where: str) -> None:
    """Refuses Python names that are none in GraphQL, or that become the same there.

    Raises:
        RegistryError: it names them.
    """
    taken: dict[str, str] = {}
    for name in names:
        spelled = to_camel_case(name)
        if not NAME.fullmatch(spelled):
            raise RegistryError(
                f"{where}: {name!r} is no name in GraphQL; use A-Z, a-z, 0-9 and single underscores in front"
            )
        if spelled in taken:
            raise RegistryError(
                f"{where}: {taken[spelled]!r} and {name!r} are both {spelled!r} in GraphQL; rename one of them"
            )
        taken[spelled] = name


def client_spelling(task_type: TaskType, place: ValuePath, prefix: str = "") -> str:
    """A place within a task type's arguments as the client wrote it; `prefix` is what stands before the argument."""
    if not place:
        return prefix.rstrip(".")
    name, *rest = place
    text = f"{prefix}{to_camel_case(str(name))}"
    annotation: Any = next((item.annotation for item in task_type.arguments if item.name == name), Any)
    for step in rest:
        bare, _ = unwrap_annotated(without_none(annotation)[0])
        fields = {field.name: field.annotation for field in fields_of(bare)} if is_dataclass_or_model(bare) else {}
        if get_origin(bare) is dict and step != "[key]":
            text += f"[{json.dumps(step)}]"
            annotation = get_args(bare)[1]
        elif isinstance(step, int):
            text += f"[{step}]"
            annotation = item_type(bare) if item_type(bare) is not EMPTY else Any
        elif step in fields:
            text += f".{to_camel_case(step)}"
            annotation = fields[step]
        elif bare in (Any, dict) and isinstance(step, str):
            text += f"[{json.dumps(step)}]"
        # What is left are pydantic's own words for a step of validation, which no client wrote.
    return text
