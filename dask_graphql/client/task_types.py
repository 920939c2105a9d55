"""The task types that an api has, as `taskTypes` tells them: names, arguments, defaults, and all that an id needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cluster.errors import BadInput
from cluster.task_types.task_id import canonical_json, task_id
from dask_graphql.client.codec import Member, Types, UsedType, decode, encode
from dask_graphql.client.errors import BadArguments, IdUnknown, UnknownTaskType

DISCOVERY: Final = """{ caller { taskIdSalt } taskTypes {
  name version description mutation inputType outputType wrapsValue selection idFromInput
  arguments { name graphqlName graphqlType required default }
  types { name fields { name graphqlName graphqlType hasDefault default } members { name value } }
} }"""


@dataclass(frozen=True)
class TaskType:
    """A task type of the api.

    Attributes:
        mutation: the mutation that submits it; `<mutation>Many` submits many.
        input_type: GraphQL type of one input of many; None where it has no arguments.
        output_type: GraphQL type of its output.
        wraps_value: the function returns no object, and `output_type` is one with the single field `value`.
        selection: GraphQL selection of all of `output_type` that needs no arguments.
        id_from_input: whether `task_id` is possible.
        salt: the caller's tenant's member of the id's pre-image; empty where tenants share.
    """

    name: str
    version: str
    description: str
    arguments: tuple[Member, ...]
    mutation: str
    input_type: str | None
    output_type: str
    wraps_value: bool
    selection: str
    id_from_input: bool
    types: Types
    salt: str = ""

    def bind(self, arguments: Mapping[str, Any]) -> Input:
        """Arguments by name, spelt as in Python or as in GraphQL, as an input to submit.

        Raises:
            BadArguments: an argument is unknown, missing, or has no JSON form.
        """
        known = {spelling: item for item in self.arguments for spelling in (item.graphql_name, item.name)}
        names = ", ".join(item.name for item in self.arguments) or "none"
        if unknown := [name for name in arguments if name not in known]:
            raise BadArguments(f"{self.name} has no argument {', '.join(unknown)}; it has {names}")
        given = {known[name].name: value for name, value in arguments.items()}
        if missing := [item.name for item in self.arguments if item.name not in given and not item.has_default]:
            raise BadArguments(f"{self.name} needs the argument {', '.join(missing)}; it has {names}")
        wire: dict[str, Any] = {}
        plain: dict[str, Any] = {item.name: item.default for item in self.arguments if item.has_default}
        for name, value in given.items():
            item = known[name]
            try:
                wire[item.graphql_name], plain[name] = encode(value, item.graphql_type, self.types)
            except ValueError as error:
                raise BadArguments(f"{self.name}: {name}: {error}") from error
            except RecursionError as error:
                raise BadArguments(f"{self.name}: {name}: it is nested too deeply, or holds itself") from error
        return Input(self, wire, plain)

    def decode(self, result: Mapping[str, Any]) -> Any:
        """The Python value of a result as the api sent it (values.py says which types become what)."""
        value = decode(result, self.output_type, self.types)
        return value["value"] if self.wraps_value else value


@dataclass(frozen=True)
class Input:
    """The arguments of one submission: `wire` for GraphQL, `plain` with defaults filled in for the id."""

    task_type: TaskType
    wire: dict[str, Any]
    plain: dict[str, Any]

    def task_id(self) -> str:
        """The id that the api will give this input, by the rule of cluster/task_types/task_id.py. The input is not
        validated.

        Raises:
            IdUnknown: only the api can tell it.
            BadArguments: a value has no canonical form (a float that is not finite).
        """
        kind = self.task_type
        if not kind.id_from_input:
            raise IdUnknown(f"the id of {kind.name} does not follow from its arguments; submit it to learn its id")
        try:
            return task_id(kind.name, kind.version, canonical_json(self.plain), kind.salt)
        except BadInput as error:
            raise BadArguments(f"{kind.name}: {error.message}") from error


def parse_task_types(data: Mapping[str, Any]) -> dict[str, TaskType]:
    """The answer to DISCOVERY, by name."""
    salt = data["caller"]["taskIdSalt"] or ""
    return {item["name"]: _task_type(item, salt) for item in data["taskTypes"]}


def find(task_types: Mapping[str, TaskType], name: str) -> TaskType:
    """One of them. Raises UnknownTaskType where there is none of that name."""
    if name not in task_types:
        raise UnknownTaskType(f"the api has no task {name!r}; it has {', '.join(sorted(task_types))}")
    return task_types[name]


def _task_type(told: Mapping[str, Any], salt: str) -> TaskType:
    return TaskType(
        name=told["name"],
        version=told["version"],
        description=told["description"],
        arguments=tuple(_member(item, has_default=not item["required"]) for item in told["arguments"]),
        mutation=told["mutation"],
        input_type=told["inputType"],
        output_type=told["outputType"],
        wraps_value=told["wrapsValue"],
        selection=told["selection"],
        id_from_input=told["idFromInput"],
        types={
            item["name"]: UsedType(
                item["name"],
                tuple(_member(field, has_default=field["hasDefault"]) for field in item["fields"]),
                {member["name"]: member["value"] for member in item["members"]},
            )
            for item in told["types"]
        },
        salt=salt,
    )


def _member(told: Mapping[str, Any], *, has_default: bool) -> Member:
    return Member(told["name"], told["graphqlName"], told["graphqlType"], has_default, told["default"])
