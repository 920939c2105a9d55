"""Names as clients write them: camelCase, PascalCase, and the path of a value in an argument (`inputs[3].maxDepth`)."""

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
"""A name in GraphQL (October 2021, section 2.1.9); names that start with two underscores are reserved."""


def pascal_case(name: str) -> str:
    """`estimate_pi` -> `EstimatePi`."""
    return "".join(part.capitalize() for part in name.split("_"))


def graphql_name(cls: type) -> str:
    """The GraphQL name of a class: its own, or `PageListInt` for the generic model `Page[list[int]]`."""
    first, *rest = [part for part in re.split(r"\W+", cls.__name__) if part]
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def upper_camel(*names: str) -> str:
    """`max_depth` and `maxDepth` -> `MaxDepth`."""
    return "".join(spelled[:1].upper() + spelled[1:] for spelled in map(to_camel_case, names))


def check_names(names: Iterable[str], where: str) -> None:
    """Refuses Python names that are not valid in GraphQL, or that become the same name there.

    Raises:
        RegistryError: the message has the names.
    """
    taken: dict[str, str] = {}
    for name in names:
        spelled = to_camel_case(name)
        if not NAME.fullmatch(spelled):
            raise RegistryError(
                f"{where}: {name!r} is not a valid GraphQL name; use A-Z, a-z, 0-9, and at most one leading underscore"
            )
        if spelled in taken:
            raise RegistryError(
                f"{where}: {taken[spelled]!r} and {name!r} are both {spelled!r} in GraphQL; rename one of them"
            )
        taken[spelled] = name


def client_path(task_type: TaskType, place: ValuePath, prefix: str = "") -> str:
    """The path of a value in a task type's arguments, by GraphQL names; `prefix` is the path of the arguments."""
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
        # Other steps are pydantic's own names for a step of validation, which no client wrote.
    return text
