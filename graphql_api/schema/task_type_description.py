"""The types of `taskTypes`, which describes every task type so that clients never need introspection.

The descriptions are read from the finished GraphQL schema, so that they cannot differ from it.
"""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from typing import Annotated, Any, Self, get_args, get_origin

import orjson
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from pydantic_core import to_jsonable_python

from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL
from cluster.task_types.task_id import canonical
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import BigIntMark, json_integer
from graphql_api.context import ApiInfo
from graphql_api.schema.client_names import pascal_case
from graphql_api.schema.history_types import TaskTypeStats, read_type_stats
from graphql_api.schema.id_derivation import is_derivable
from graphql_api.strawberry_internals import core_schema, enum_class, input_default, python_name


@strawberry.type(description="A field of an object that a task type takes or returns.")
class TypeField:
    name: str = strawberry.field(description="Its name in Python and in the task id's input.")
    description: str | None = strawberry.field(description="Its meaning and its bounds.")
    graphql_name: str = strawberry.field(description="Its name in this schema.")
    graphql_type: str = strawberry.field(description="Its GraphQL type, such as `[Int!]!`.")
    has_default: bool = strawberry.field(description="Whether an input may omit it.")
    default: strawberry.scalars.JSON | None = strawberry.field(description="Its value if it is omitted.")
    needs_arguments: bool = strawberry.field(description="Whether it can only be read with arguments.")


@strawberry.type(description="A member of an enum.")
class TypeMember:
    name: str = strawberry.field(description="Its name in this schema.")
    value: strawberry.scalars.JSON = strawberry.field(description="Its value in Python and in the task id's input.")


@strawberry.type(description="An object or an enum that a task type takes or returns.")
class UsedType:
    name: str = strawberry.field(description="Its GraphQL name.")
    fields: list[TypeField] = strawberry.field(description="The fields of an object.")
    members: list[TypeMember] = strawberry.field(description="The members of an enum.")


def used_types(schema: GraphQLSchema, task_type: TaskType, mutation: str, *outputs: str) -> list[UsedType]:
    """Every object and enum that a task type's arguments, output or items use, ordered by name."""
    assert schema.mutation_type is not None
    arguments = schema.mutation_type.fields[mutation].args
    names = {argument.name for argument in task_type.arguments}
    found: dict[str, GraphQLNamedType] = {}
    waiting: list[Any] = [argument.type for name, argument in arguments.items() if python_name(argument, name) in names]
    waiting += [schema.type_map[output] for output in outputs]
    while waiting:
        named = get_named_type(waiting.pop())
        if named.name in found or (is_leaf_type(named) and not isinstance(named, GraphQLEnumType)):
            continue
        found[named.name] = named
        if isinstance(named, GraphQLObjectType | GraphQLInputObjectType | GraphQLInterfaceType):
            waiting += [field.type for field in named.fields.values()]
        elif isinstance(named, GraphQLUnionType):
            waiting += named.types
    return [_used(found[name]) for name in sorted(found)]


def _used(named: GraphQLNamedType) -> UsedType:
    if isinstance(named, GraphQLEnumType):
        cls = enum_class(named)
        values = {name: cls[name].value if cls and name in cls.__members__ else name for name in named.values}
        members = [TypeMember(name=name, value=_json(value)) for name, value in values.items()]
        return UsedType(name=named.name, fields=[], members=members)
    fields: dict[str, Any] = getattr(named, "fields", {})
    return UsedType(name=named.name, fields=[_field(name, field) for name, field in fields.items()], members=[])


def _field(name: str, field: GraphQLField | GraphQLInputField) -> TypeField:
    has_default, default = input_default(field) if isinstance(field, GraphQLInputField) else (False, None)
    return TypeField(
        name=python_name(field, name),
        description=field.description,
        graphql_name=name,
        graphql_type=str(field.type),
        has_default=has_default,
        default=_json(default) if has_default else None,
        needs_arguments=_needs_arguments(field),
    )


def _needs_arguments(field: GraphQLField | GraphQLInputField) -> bool:
    return isinstance(field, GraphQLField) and any(is_required_argument(item) for item in field.args.values())


def _json(value: Any) -> Any:
    return canonical(to_jsonable_python(value, fallback=str))


def _is_link(name: str, field: Any) -> bool:
    """Whether it is `href`: such a link is signed for whoever asks for it."""
    return name == "href" and bool(field.args)


def selection(named: GraphQLNamedType, above: tuple[str, ...] = (), *, wraps_value: bool = False) -> str:
    """A selection of everything in an output type that needs no arguments but signed links, without recursion into the
    same type; of one that wraps a value, without the value's second field."""
    if isinstance(named, GraphQLUnionType | GraphQLInterfaceType):
        members = named.types if isinstance(named, GraphQLUnionType) else ()
        return " ".join(
            ["__typename", *(f"... on {item.name} {{ {selection(item, (*above, named.name))} }}" for item in members)]
        )
    assert isinstance(named, GraphQLObjectType)
    parts = ["__typename"]
    for name, field in named.fields.items():
        inner = get_named_type(field.type)
        if (wraps_value and name != "value") or _needs_arguments(field) or _is_link(name, field):
            continue
        if inner.name in (*above, named.name):
            continue
        parts.append(name if is_leaf_type(inner) else f"{name} {{ {selection(inner, (*above, named.name))} }}")
    return " ".join(parts)


@strawberry.type(description="An argument of a task type.")
class TaskArgument:
    name: str = strawberry.field(description="Its name in Python and in the task id's input.")
    description: str | None = strawberry.field(description="Its meaning and its bounds.")
    type: str = strawberry.field(description="Its Python type.")
    required: bool
    default: strawberry.scalars.JSON | None = strawberry.field(description="Its value if it is omitted.")
    graphql_name: str = strawberry.field(description="Its name in this schema.")
    graphql_type: str = strawberry.field(description="Its GraphQL type, such as `[Int!]!`.")


@strawberry.type(description="The items that a task type yields one by one.")
class StreamDescription:
    item_type: str = strawberry.field(description="The GraphQL type of an item, a member of `StreamItem`.")
    wraps_value: bool = strawberry.field(
        description="Whether `itemType` wraps an item that is not an object in a single field `value`."
    )
    selection: str = strawberry.field(
        description="A selection of everything in `itemType` that needs no arguments, with `__typename`."
    )


@strawberry.type(name="TaskType", description="A registered function.")
class TaskTypeType:
    name: str
    version: str = strawberry.field(description="Part of the task id.")
    description: str
    mutation: str = strawberry.field(description="The mutation that submits it.")
    arguments: list[TaskArgument]
    timeout_seconds: float | None
    retries: int
    input_limit_bytes: int = strawberry.field(description="Largest input, in bytes of its canonical JSON.")
    input_type: str | None = strawberry.field(
        description="The GraphQL type of one input of `<mutation>Many`; null if there are no arguments."
    )
    output_type: str = strawberry.field(description="The GraphQL type of its output, a member of `TaskOutput`.")
    wraps_value: bool = strawberry.field(
        description="Whether `outputType` wraps an output that is not an object in a single field `value`."
    )
    selection: str = strawberry.field(
        description="A selection of everything in `outputType` that needs no arguments, with `__typename`."
    )
    stream: StreamDescription | None = strawberry.field(
        description="What `taskItems` delivers of it; null unless its output is a stream."
    )
    id_from_input: bool = strawberry.field(
        description="Whether clients can compute the task id from the arguments' GraphQL types and values."
    )
    pool: str = strawberry.field(description="The pool whose workers run it, of `Cluster.pools`.")
    larger_pool: str | None = strawberry.field(
        description="The pool in which the attempt after one that ran out of memory runs; null for the same one."
    )
    types: list[UsedType] = strawberry.field(description="The objects and enums that the arguments and the output use.")

    @strawberry.field(description="Whether an operator has paused it: its tasks are accepted and stay QUEUED.")
    def paused(self, info: ApiInfo) -> bool:
        return self.name in info.context.node.paused_types.names

    @strawberry.field(
        description="How its tasks ended in the last so many seconds, 60 to 86,400. All task types of a query are read "
        "together; at most 2 seconds old, or 10 for more than three hours."
    )
    async def stats(self, info: ApiInfo, seconds: int = 86_400) -> TaskTypeStats | None:
        return await read_type_stats(info, self.name, seconds)

    @strawberry.field(
        description="Its tasks that are QUEUED or RUNNING now, of those that the caller may see. All task types of a "
        "query are counted together; null with a task token."
    )
    async def open(self, info: ApiInfo) -> int | None:
        node, caller = info.context.node, info.context.caller
        if caller.confinement is not None:
            return None
        return (await node.open_tasks.by_type(node.registry.keys(), caller.tenant_seen)).get(self.name, 0)

    @classmethod
    def of(cls, task_type: TaskType, schema: Any, settings: Settings) -> Self:
        """Describes a task type of a schema made by `make_schema`."""
        graphql_schema = core_schema(schema)
        assert graphql_schema.mutation_type is not None, "every schema has cancelTask"
        mutation = f"submit{pascal_case(task_type.name)}"
        output = schema.outputs[task_type.name]
        wraps_value = task_type.name in schema.wrappers and task_type.items is None
        stream = _stream(task_type, schema, graphql_schema)
        names = {python_name(item, name): (name, str(item.type), item.description) for name, item in
                 graphql_schema.mutation_type.fields[mutation].args.items()}  # fmt: skip

        defaults = orjson.loads(
            task_type.input_model.model_construct().model_dump_json(
                include={argument.name for argument in task_type.arguments if not argument.required},
                warnings=False,
                by_alias=False,
            )
        )
        return cls(
            name=task_type.name,
            version=task_type.version,
            description=task_type.description,
            mutation=mutation,
            arguments=[
                TaskArgument(
                    name=argument.name,
                    description=names[argument.name][2],
                    type=type_text(argument.annotation),
                    required=argument.required,
                    default=_safe(defaults.get(argument.name)),
                    graphql_name=names[argument.name][0],
                    graphql_type=names[argument.name][1],
                )
                for argument in task_type.arguments
            ],
            timeout_seconds=task_type.timeout_seconds,
            retries=task_type.retries.limit,
            input_limit_bytes=task_type.input_limit or settings.input_limit_bytes,
            input_type=f"{pascal_case(task_type.name)}Input" if task_type.arguments else None,
            output_type=output,
            wraps_value=wraps_value,
            selection=selection(graphql_schema.type_map[output], wraps_value=wraps_value),
            stream=stream,
            pool=task_type.pool or DEFAULT_POOL,
            larger_pool=task_type.next_pool or None,
            id_from_input=all(is_derivable(argument.annotation) for argument in task_type.arguments),
            types=used_types(graphql_schema, task_type, mutation, output, *([stream.item_type] if stream else ())),
        )


def _stream(task_type: TaskType, schema: Any, graphql_schema: GraphQLSchema) -> StreamDescription | None:
    if task_type.name not in schema.streams:
        return None
    stream = schema.streams[task_type.name]
    return StreamDescription(
        item_type=stream.item_name,
        wraps_value=stream.wraps_value,
        selection=selection(graphql_schema.type_map[stream.item_name]),
    )


def type_text(annotation: Any) -> str:
    """A Python type as one writes it, without metadata: `Annotated[int, Field(ge=0)]` is `int`."""
    if get_origin(annotation) is Annotated:
        base, *marks = get_args(annotation)
        return "BigInt" if any(isinstance(mark, BigIntMark) for mark in marks) else type_text(base)
    if isinstance(annotation, type):
        return str(getattr(annotation, "declared_as", annotation.__name__))
    return str(annotation).replace("typing.", "")


def _safe(value: Any) -> Any:
    return json_integer(value) if isinstance(value, int) and not isinstance(value, bool) else value
