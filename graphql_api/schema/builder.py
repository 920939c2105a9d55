"""The schema, generated from the registry: a new task type needs no change here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import strawberry
from pydantic import RootModel
from strawberry.tools import create_type
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from cluster.settings import Settings
from cluster.task_types.annotations import is_dataclass_or_model, unwrap_annotated
from cluster.task_types.registry import Registry
from cluster.task_types.value_types import Blob
from graphql_api.execution.document_cache import DocumentCache
from graphql_api.execution.operations import Operations
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.schema.bulk_mutations import bulk_fields
from graphql_api.schema.error_codes import ErrorCode
from graphql_api.schema.mutations import end_fields, submit_fields
from graphql_api.schema.operator_mutations import operator_fields
from graphql_api.schema.output_json import Writer, json_writer
from graphql_api.schema.output_wrapper import output_wrapper
from graphql_api.schema.queries import make_query
from graphql_api.schema.retry_task import retry_field
from graphql_api.schema.run_field import run_field, run_name
from graphql_api.schema.scalars import CONFIG
from graphql_api.schema.schedule_mutations import schedule_fields
from graphql_api.schema.strawberry_fields import set_signature
from graphql_api.schema.stream_types import StreamType, StreamValue, make_task_item, stream_type
from graphql_api.schema.submission_type import make_submission
from graphql_api.schema.submit_options import SubmitOptions
from graphql_api.schema.subscriptions import make_subscription
from graphql_api.schema.task_change import make_task_change
from graphql_api.schema.task_connection import make_task_connection
from graphql_api.schema.task_event import make_task_event
from graphql_api.schema.task_object import make_task
from graphql_api.schema.task_token import token_mutations
from graphql_api.schema.type_mapping import TypeMap
from graphql_api.schema.upload_types import upload_field
from graphql_api.schema.webhook_types import webhook_mutations
from graphql_api.strawberry_internals import core_schema, make_field


class Schema(Operations):
    """The schema of the registered task types.

    Attributes:
        wrappers: by task name, what wraps outputs which are not objects of their own GraphQL type.
        json_writers: by task name, what writes whole outputs as JSON.
        outputs: by task name, the GraphQL names of all output types.
        streams: by task name, the types of those that yield items.
    """

    wrappers: dict[str, Callable[..., Any]]
    json_writers: dict[str, Writer]
    outputs: dict[str, str]
    streams: dict[str, StreamType]


def make_schema(registry: Registry, documents: DocumentCache | None = None) -> Schema:
    """Builds the schema of the registered task types. Its SDL does not depend on their order.

    Args:
        documents: parses, limits and caches documents; default: one with the default settings.

    Raises:
        RegistryError: a type has no GraphQL form, or two need the same name.
    """
    type_map = TypeMap(reserved_names())
    wrappers: dict[str, Callable[..., Any]] = {}
    streams: dict[str, StreamType] = {}
    outputs: list[Any] = []
    names: dict[str, str] = {}
    task_types = sorted(registry.values(), key=lambda task_type: task_type.name)
    for task_type in task_types:
        returns, _ = unwrap_annotated(task_type.returns)
        if task_type.items is not None:
            streams[task_type.name] = stream_type(task_type, type_map)
            made = streams[task_type.name].output
            wrappers[task_type.name] = functools.partial(StreamValue, task_type.name)
        elif returns is not Blob and is_dataclass_or_model(returns) and not issubclass(returns, RootModel):
            made = type_map.output(returns, task_type.origin, "")
        else:
            made = output_wrapper(task_type, type_map)
            wrappers[task_type.name] = made
        names[task_type.name] = get_object_definition(made, strict=True).name
        if made not in outputs:
            outputs.append(made)

    def members(submission: type) -> list[StrawberryField]:
        return [field for task_type in task_types for field in submit_fields(task_type, type_map, submission)]

    def run_members(task: type) -> list[StrawberryField]:
        return [run_field(task_type, type_map, task) for task_type in task_types]

    schema = _assemble(outputs, members, run_members, documents, streams)
    schema.wrappers, schema.outputs, schema.streams = wrappers, names, streams
    types = core_schema(schema).type_map
    schema.json_writers = {
        task: json_writer(types[name], unwrap=task in wrappers and task not in streams) for task, name in names.items()
    }
    schema.documents.result_fields = frozenset(type_map.result_fields)
    schema.documents.run_fields = frozenset(map(run_name, task_types))
    return schema


@functools.cache
def reserved_names() -> frozenset[str]:
    """The GraphQL names of the platform's own types: all names in a schema without task types."""
    nothing = create_type("_Nothing", [make_field("value", str)])

    def members(submission: type) -> list[StrawberryField]:
        # A mutation with the types that every submit<Name> uses.
        def submit(options: Any) -> Any: ...

        options = inspect.Parameter("options", inspect.Parameter.KEYWORD_ONLY, annotation=SubmitOptions)
        set_signature(submit, [options], submission)
        return [make_field("submit", resolver=submit)]

    return frozenset(core_schema(_assemble([nothing], members, lambda _: [])).type_map) - {"_Nothing"}


def _assemble(
    outputs: list[Any],
    members: Callable[[type], list[StrawberryField]],
    run_members: Callable[[type], list[StrawberryField]],
    documents: DocumentCache | None = None,
    streams: dict[str, StreamType] | None = None,
) -> Schema:
    union: Any = Annotated[_union(outputs), strawberry.union("TaskOutput", description="The output of any task type.")]
    task = make_task(union)
    submission = make_submission(task)
    items = list(dict.fromkeys(stream.item for stream in (streams or {}).values()))
    item_union: Any = None
    if items:
        description = "The items of any task type that yields them."
        item_union = Annotated[_union(items), strawberry.union("StreamItem", description=description)]
    task_item = make_task_item(item_union, streams or {})
    schema = Schema(
        documents or DocumentCache(Settings(), PersistedOperations(Settings())),
        query=make_query(task, make_task_connection(task)),
        mutation=create_type(
            "Mutation",
            [
                *members(submission),
                *end_fields(task),
                retry_field(submission),
                *bulk_fields(),
                *operator_fields(task),
                upload_field(),
                *token_mutations(),
                *webhook_mutations(),
                *schedule_fields(submission),
            ],
        ),
        subscription=make_subscription(
            task, make_task_event(task), task_item, make_task_change(task), run_members(task)
        ),
        types=[*outputs, *items, ErrorCode],
        config=CONFIG,
    )
    schema.task_class = task
    return schema


def _union(outputs: list[Any]) -> Any:
    union = outputs[0]
    for output in outputs[1:]:
        union = union | output
    return union
