"""A task type: a registered function with its declared input and output, and how inputs are validated and read.

An input is validated and gets its id when it is submitted; a worker reads it from the record. output_type.py has the
same for outputs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator, to_json

from cluster.errors import BadInput, PublicError
from cluster.task_types.annotations import classes_in
from cluster.task_types.batching import Batch
from cluster.task_types.callables import origin_of, underlying_function
from cluster.task_types.concurrency import Limit
from cluster.task_types.core_schema import Traits, traits_of
from cluster.task_types.file import File
from cluster.task_types.input_errors import ValuePath, describe_exception, python_path, validation_refusal
from cluster.task_types.json_form import NonFiniteNumber, stable_json
from cluster.task_types.json_reader import json_reader
from cluster.task_types.needs import Needs
from cluster.task_types.output_type import OutputType
from cluster.task_types.pydantic_internals import core_schema_of, serializer_of, validator_of
from cluster.task_types.retry_policy import Retries
from cluster.task_types.round_trip import difference
from cluster.task_types.task_id import canonical_json, task_id
from cluster.task_types.walk import instances_in

logger = logging.getLogger(__name__)

MAX_INT_DIGITS: Final = 4_300
"""Digits of a plain `int` that pydantic reads at most, as CPython does (issue 95778)."""

STRICT_REFUSALS: Final = frozenset(
    {"is_instance_of", "set_type", "frozen_set_type", "tuple_type", "model_type", "dataclass_exact_type"}
)
"""Errors that pydantic's strict mode raises for Python values although it accepts the same values in JSON."""


COMPARED: Final = (
    "version", "timeout_seconds", "retries", "queue_limit", "checks", "input_limit", "concurrency", "ttl_seconds",
    "start_within_seconds", "batch", "pool", "needs", "larger_pool",
)  # fmt: skip
"""What two registrations of one function under one name must have in common."""


@dataclass(frozen=True)
class Argument:
    """One argument of a task type. `default` is `inspect.Parameter.empty` if the argument is required."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class TaskType:
    """A registered function with its name, version, declared input and output types, and limits.

    Attributes:
        timeout_seconds: maximum run time of one attempt; None for no limit.
        retries: which failures are retried, how often, and after which pause.
        queue_limit: maximum number of tasks of this type in QUEUED; None for the system's limit alone.
        input_limit: maximum size of an input's canonical JSON, in bytes; None for INPUT_LIMIT_BYTES.
        checks: called with the validated arguments; raises BadInput for what types cannot express.
        input_model: pydantic model of the arguments.
        output: the declared output.
        registered_in: the module that called `task`; the function may come from another one.
        concurrency: how many tasks of this type may run at once; None for no limit.
        ttl_seconds: how long records are kept after the end; None for RESULT_TTL_SECONDS, which is also the limit.
        batch: how tasks are put together for one call of the function; None for one call each.
        start_within_seconds: how long after its submission a task must have started; None for no limit.
        items: the declared type of the items, if the output is a stream; None otherwise.
        pool: the pool whose workers run it; None for that which `needs` chooses, or the default.
        needs: what a worker must have to run it; None for no needs.
        larger_pool: whether the attempt after one that ran out of memory may run in a larger pool; None for yes, unless
            the author named `pool`.
        next_pool: that larger pool; empty for none. Nodes that dispatch tasks set it (`Registry.choose_pools`).
    """

    name: str
    version: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    timeout_seconds: float | None
    retries: Retries
    queue_limit: int | None
    checks: Callable[..., None] | None
    input_model: type[BaseModel] = field(repr=False)
    output: OutputType = field(repr=False)
    registered_in: str = ""
    input_limit: int | None = None
    concurrency: Limit | None = None
    ttl_seconds: float | None = None
    start_within_seconds: float | None = None
    items: OutputType | None = field(default=None, repr=False)
    batch: Batch | None = None
    pool: str | None = None
    needs: Needs | None = None
    larger_pool: bool | None = None
    next_pool: str = ""

    @property
    def returns(self) -> Any:
        """The declared output type; `T` of `Graph[T]`; `StreamSummary` for a stream."""
        return self.output.annotation

    @property
    def description(self) -> str:
        return inspect.getdoc(underlying_function(self.function)) or f"Runs the task `{self.name}`."

    @property
    def origin(self) -> str:
        """The module and name of the function, for messages."""
        return origin_of(self.function)

    def has_same_declaration(self, other: TaskType) -> bool:
        """Whether the other one is the same function with the same version and limits."""
        return self.origin == other.origin and all(getattr(self, name) == getattr(other, name) for name in COMPARED)

    def bind(
        self,
        arguments: Mapping[str, Any],
        format_path: Callable[[ValuePath], str] = python_path,
        *,
        salt: str = "",
        limit_bytes: int | None = None,
        run_key: str = "",
    ) -> Bound:
        """Validates arguments, fills in defaults and derives the task id.

        Args:
            arguments: by name; the fields of models by their names too, never by an alias.
            format_path: how the caller's language writes the path of a value, for the errors.
            salt: of the caller's tenant, if tenants are kept apart.
            limit_bytes: maximum size of the input, unless the task type has a limit of its own; None for no limit.
            run_key: asks for a run of its own: part of the task id, if it is not empty.

        Raises:
            BadInput: an argument is unknown, missing, of a wrong type or out of bounds; the message names it, and
                `argument` in its details is the first one, as `format_path` writes it. Or the input is too large.
        """
        model = self._validate(arguments, format_path)
        traits = self.input_traits
        try:
            dump = serializer_of(self.input_model).to_python
            if traits.has_custom_code:
                # Leaves out computed fields; fails for values of a validator that do not have their declared type.
                written = dump(model, mode="json", by_alias=False, round_trip=True, warnings="error")
            else:
                written = dump(model, mode="json", by_alias=False)
            if traits.needs_stable_json:
                written = stable_json(written, model)
            canonical_input = canonical_json(written)
        except NonFiniteNumber as error:
            path = format_path(error.path)
            raise BadInput(f"{self.name}: {path}: JSON has no number {error.value}", argument=path) from None
        except (ValueError, RecursionError) as error:
            # pydantic's own errors are ValueErrors: a lone surrogate, or a value nested too deeply.
            raise BadInput(f"{self.name}: the input has no JSON form: {str(error)[:200]}") from None
        limit = self.input_limit or limit_bytes
        if limit is not None and len(canonical_input) > limit:
            raise BadInput(
                f"{self.name}: an input has at most {limit} bytes of JSON, not {len(canonical_input)}: declare a "
                "File, and upload large data",
                limit=limit,
            )
        if len(canonical_input) > MAX_INT_DIGITS or traits.has_custom_code:
            self._check_input_round_trip(model, canonical_input, format_path)
        return Bound(
            self, model, canonical_input, task_id(self.name, self.version, canonical_input, salt, run_key),
            self._files_in(model), run_key,
        )  # fmt: skip

    def _validate(self, arguments: Mapping[str, Any], format_path: Callable[[ValuePath], str]) -> BaseModel:
        """The arguments after validation and the author's check."""
        try:
            model = self._validate_types(arguments)
        except ValidationError as error:
            raise validation_refusal(self.name, error, format_path) from None
        except PublicError:
            raise
        except Exception as error:
            # Any exception of an author's `__post_init__` or validator refuses the input.
            logger.info("%s refused an input", self.name, exc_info=True)
            raise BadInput(f"{self.name}: {describe_exception(error)}") from error
        if self.checks is not None:
            try:
                self.checks(**self.values(model))
            except BadInput as error:
                if isinstance(named := error.details.get("argument"), str):
                    error.details["argument"] = format_path(tuple(named.split(".")))
                raise
            except (ValueError, AssertionError) as error:
                raise BadInput(f"{self.name}: {describe_exception(error)}") from error
        return model

    def _validate_types(self, arguments: Mapping[str, Any]) -> BaseModel:
        try:
            return validator_of(self.input_model).validate_python(  # type: ignore[no-any-return]
                dict(arguments), by_alias=False, by_name=True
            )
        except ValidationError as error:
            # A strict model accepts a list for a set, or a value for an enum, only from JSON, which is what clients
            # send.
            kinds = {item["type"] for item in error.errors(include_url=False, include_context=False)}
            if kinds.isdisjoint(STRICT_REFUSALS):
                raise
            try:
                text = to_json(dict(arguments), inf_nan_mode="constants")
            except ValueError:
                raise error from None
            return self.input_model.model_validate_json(text, by_alias=False, by_name=True)

    def _check_input_round_trip(
        self, model: BaseModel, canonical_input: bytes, format_path: Callable[[ValuePath], str]
    ) -> None:
        """Refuses an input that a worker would read differently.

        Raises:
            BadInput: an `int` is too long to be read back from its digits (a BigInt is not), or an author's validator
                produced a value that its type's JSON does not express.
        """
        try:
            if not self.input_traits.has_custom_code:
                self.read_input(canonical_input)
                return
            changed = self.first_change(model, canonical_input)
        except ValidationError as error:
            raise validation_refusal(self.name, error, format_path) from None
        if changed is not None:
            argument, path = changed
            raise BadInput(
                f"{self.name}: {path}: the value that a validator or a __post_init__ made of it does not survive JSON, "
                "so the function would get a different one; keep it in a field that has a default",
                argument=format_path((argument,)),
            )

    def first_change(self, model: BaseModel, canonical_input: bytes) -> tuple[str, str] | None:
        """The argument, and the path in it, of the first value that a worker would read differently."""
        read = self.read_input(canonical_input)
        for name, value in self.values(model).items():
            path = difference(read[name], value, name)
            if path is not None:
                return name, path
        return None

    @cached_property
    def has_files(self) -> bool:
        """Whether there may be files in an input."""
        return any(issubclass(cls, File) for item in self.arguments for cls, _ in classes_in(item.annotation))

    def _files_in(self, model: BaseModel) -> tuple[str, ...]:
        if not self.has_files:
            return ()
        return tuple(dict.fromkeys(file.sha256 for file in instances_in(model, File)))

    def values(self, model: BaseModel) -> dict[str, Any]:
        """The arguments to call the function with."""
        return {argument.name: getattr(model, argument.name) for argument in self.arguments}

    def read_input(self, canonical_input: bytes | str) -> dict[str, Any]:
        """The function's arguments from a record's input, which was validated when it was submitted and is not again.

        Raises:
            ValidationError: it does not fit this task type, as after a change of the function without a new version.
        """
        return self.values(self._input_reader.validate_json(canonical_input, by_alias=False, by_name=True))

    @cached_property
    def input_traits(self) -> Traits:
        return traits_of(core_schema_of(self.input_model), self.input_model.__name__)

    @cached_property
    def _input_reader(self) -> SchemaValidator:
        if self.input_traits.needs_own_reader:
            return json_reader(core_schema_of(self.input_model), canonical=True)
        return validator_of(self.input_model)


@dataclass(frozen=True)
class Bound:
    """A task type with one valid input: what a submission asks for."""

    task_type: TaskType
    model: BaseModel
    canonical_input: bytes
    task_id: str
    files: tuple[str, ...] = ()
    """The SHA-256 of each file in the input."""
    run_key: str = ""
    """Of a run of its own; empty for the run that equal inputs share."""
