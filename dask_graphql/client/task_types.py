"""The api's task types, from `taskTypes`: names, arguments, defaults, and everything that a task id is derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cluster.errors import BadInput
from cluster.task_types.task_id import canonical_json, task_id
from dask_graphql.client.codec import MakeData, Member, Types, UsedType, decode, encode
from dask_graphql.client.errors import BadArguments, IdUnknown, UnknownTaskType

DISCOVERY: Final = """{ caller { taskIdSalt } taskTypes {
  name version description mutation inputType outputType wrapsValue selection idFromInput
  stream { itemType wrapsValue selection }
  arguments { name graphqlName graphqlType required default }
  types { name fields { name graphqlName graphqlType hasDefault default } members { name value } }
} }"""


@dataclass(frozen=True)
class StreamType:
    """What a task type yields item by item.

    Attributes:
        item_type: GraphQL type of an item.
        wraps_value: whether `item_type` wraps a value that is not an object in the single field `value`.
        selection: GraphQL selection of every field of `item_type` that needs no arguments.
    """

    item_type: str
    wraps_value: bool
    selection: str


@dataclass(frozen=True)
class TaskType:
    """A task type of the api.

    Attributes:
        mutation: the mutation that submits it; `<mutation>Many` submits many.
        input_type: GraphQL type of one input of `<mutation>Many`; None if the task type has no arguments.
        output_type: GraphQL type of its output.
        wraps_value: whether `output_type` wraps a value that is not an object in the single field `value`.
        selection: GraphQL selection of every field of `output_type` that needs no arguments.
        id_from_input: whether a client can derive the task id.
        stream: what it yields item by item; None if its output is not a stream.
        salt: the `salt` of the caller's tenant in the JSON that is hashed into the id; empty if tenants share tasks.
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
    stream: StreamType | None = None
    salt: str = ""

    def bind(self, arguments: Mapping[str, Any]) -> Input:
        """Makes an input of arguments, which may have their Python or their GraphQL names.

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
                raise BadArguments(f"{self.name}: {name}: it is nested too deeply, or contains itself") from error
        return Input(self, wire, plain, dict(arguments))

    def decode(self, result: Mapping[str, Any], make_data: MakeData | None = None) -> Any:
        """The Python value of a result as the api sent it (`codec.decode` lists the types)."""
        value = decode(result, self.output_type, self.types, make_data)
        return value["value"] if self.wraps_value else value

    def decode_item(self, item: Mapping[str, Any]) -> Any:
        """The Python value of an item of its stream as the api sent it."""
        assert self.stream is not None
        value = decode(item, self.stream.item_type, self.types)
        return value["value"] if self.stream.wraps_value else value


@dataclass(frozen=True)
class Input:
    """The arguments of one submission: `wire` as GraphQL variables, `plain` with defaults filled in, for the id, and
    `given` as the caller passed them."""

    task_type: TaskType
    wire: dict[str, Any]
    plain: dict[str, Any]
    given: dict[str, Any] = field(default_factory=dict)

    def task_id(self, run_key: str | None = None) -> str:
        """The id that the api would give this input, submitted with this run key (cluster/task_types/task_id.py has the
        rule). Validates nothing.

        Raises:
            IdUnknown: only the api can compute it.
            BadArguments: a value has no canonical form (a float that is not finite).
        """
        kind = self.task_type
        if not kind.id_from_input:
            raise IdUnknown(f"the id of {kind.name} cannot be derived from its arguments; submit it to get its id")
        try:
            return task_id(kind.name, kind.version, canonical_json(self.plain), kind.salt, run_key or "")
        except BadInput as error:
            raise BadArguments(f"{kind.name}: {error.message}") from error


def parse_task_types(data: Mapping[str, Any]) -> dict[str, TaskType]:
    """The task types in the response to DISCOVERY, by name."""
    salt = data["caller"]["taskIdSalt"] or ""
    return {item["name"]: _task_type(item, salt) for item in data["taskTypes"]}


def find(task_types: Mapping[str, TaskType], name: str) -> TaskType:
    """Returns the task type with this name.

    Raises:
        UnknownTaskType: there is none.
    """
    if name not in task_types:
        raise UnknownTaskType(f"the api has no task {name!r}; it has {', '.join(sorted(task_types))}")
    return task_types[name]


def _task_type(payload: Mapping[str, Any], salt: str) -> TaskType:
    return TaskType(
        name=payload["name"],
        version=payload["version"],
        description=payload["description"],
        arguments=tuple(_member(item, has_default=not item["required"]) for item in payload["arguments"]),
        mutation=payload["mutation"],
        input_type=payload["inputType"],
        output_type=payload["outputType"],
        wraps_value=payload["wrapsValue"],
        selection=payload["selection"],
        id_from_input=payload["idFromInput"],
        stream=_stream_type(payload["stream"]),
        types={
            item["name"]: UsedType(
                item["name"],
                tuple(_member(each, has_default=each["hasDefault"]) for each in item["fields"]),
                {member["name"]: member["value"] for member in item["members"]},
            )
            for item in payload["types"]
        },
        salt=salt,
    )


def _stream_type(payload: Mapping[str, Any] | None) -> StreamType | None:
    return StreamType(payload["itemType"], payload["wrapsValue"], payload["selection"]) if payload else None


def _member(payload: Mapping[str, Any], *, has_default: bool) -> Member:
    return Member(payload["name"], payload["graphqlName"], payload["graphqlType"], has_default, payload["default"])
