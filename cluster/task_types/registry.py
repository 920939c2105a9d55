"""The registry: `@task` makes a typed function a task type.

The same modules are loaded by every node, so that all know the same task types. The registry knows nothing of GraphQL;
graphql_api generates its schema from what is declared here.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
import re
import reprlib
import sys
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import FrameType, ModuleType
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_args, get_origin, overload

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import SchemaValidator, to_json

from cluster.errors import BadInput, PublicError, RegistryError
from cluster.task_types.annotations import refuse_opaque
from cluster.task_types.callables import origin_of, refuse_callable, underlying
from cluster.task_types.core_schema import Traits, reader, refuse_one_way, traits_of, trusting
from cluster.task_types.json_form import NotInJson, faithful
from cluster.task_types.result_checks import Shape, UnfitOutput
from cluster.task_types.round_trip import difference
from cluster.task_types.task_id import canonical_json, task_id
from cluster.task_types.value_types import Graph, decimal_text

logger = logging.getLogger(__name__)

NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
BUILT_IN: Final = ("cluster.builtin_tasks.fibonacci",)

RESERVED_ARGUMENTS: Final = frozenset({"options", "info", "self", "cls", "root", "model_config"})
"""Names that mean something else where an argument would stand: in the mutation, its resolver, or pydantic's model."""

LONGEST_INT_DIGITS: Final = 4_300
"""Most digits that pydantic reads as a plain `int`, as CPython does (issue 95778)."""

STRICT_REFUSALS: Final = frozenset(
    {"is_instance_of", "set_type", "frozen_set_type", "tuple_type", "model_type", "dataclass_exact_type"}
)
"""Errors that pydantic's strict mode raises on plain values, and does not on the same values in JSON."""

_PLAIN: Final = (str, int, float, bool, type(None))
"""Defaults that JSON says as they are."""

F = TypeVar("F", bound=Callable[..., Any])
Place: TypeAlias = tuple[int | str, ...]
"""The way from an argument to the value in it: names of fields, indexes of lists, keys of dicts."""


def python_spelling(place: Place) -> str:
    """A place as Python writes it: `points[1].x`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


@dataclass(frozen=True)
class Argument:
    """One argument of a task type. `default` is `inspect.Parameter.empty` where the argument is required."""

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
        timeout_seconds: longest run of one attempt; None for no limit.
        retries: how many more attempts a failing one may have.
        queue_limit: most tasks of this type that may wait in QUEUED; None for the system's limit alone.
        checks: called with the validated arguments; raises BadInput for what a type cannot say.
        input_model: pydantic model of the arguments.
        output: adapter of the return annotation.
        registered_in: the module that called `task`; the function may be of another.
    """

    name: str
    version: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    returns: Any
    timeout_seconds: float | None
    retries: int
    queue_limit: int | None
    checks: Callable[..., None] | None
    input_model: type[BaseModel] = field(repr=False)
    output: TypeAdapter[Any] = field(repr=False)
    registered_in: str = ""

    @property
    def description(self) -> str:
        return inspect.getdoc(underlying(self.function)) or f"Runs the task `{self.name}`."

    @property
    def origin(self) -> str:
        """Where the function stands, for messages."""
        return origin_of(self.function)

    def declares_as(self, other: TaskType) -> bool:
        """Whether the other one is the same function with the same version and limits."""
        return self.origin == other.origin and all(
            getattr(self, name) == getattr(other, name)
            for name in ("version", "timeout_seconds", "retries", "queue_limit", "checks")
        )

    @cached_property
    def shape(self) -> Shape:
        """What its output is held to beside its type."""
        return Shape(self.returns)

    def bind(
        self, arguments: Mapping[str, Any], spell: Callable[[Place], str] = python_spelling, *, salt: str = ""
    ) -> Bound:
        """Validates arguments, fills in defaults and derives the task id.

        Args:
            arguments: by name; the fields of models by their names too, never by an alias.
            spell: how the caller writes the place of a value, for the errors.
            salt: the caller's tenant's, where tenants are kept apart.

        Raises:
            BadInput: an argument is unknown, missing, of a wrong type or out of bounds; the message names it, and
                `argument` in its details is the first one, as `spell` writes it.
        """
        model = self._checked(arguments, spell)
        traits = self.input_traits
        try:
            dump = self.input_model.__pydantic_serializer__.to_python
            if traits.custom:
                # Without computed fields; and not what a validator made that is none of its type's.
                written = dump(model, mode="json", by_alias=False, round_trip=True, warnings="error")
            else:
                written = dump(model, mode="json", by_alias=False)
            if traits.walked:
                written = faithful(written, model)
            canonical_input = canonical_json(written)
        except NotInJson as error:
            place = spell(error.place)
            raise BadInput(f"{self.name}: {place}: JSON has no number {error.value}", argument=place) from None
        except (ValueError, RecursionError) as error:
            # pydantic's own errors are ValueErrors: a lone surrogate, or a value nested beyond its depth.
            raise BadInput(f"{self.name}: the input has no JSON form: {str(error)[:200]}") from None
        if len(canonical_input) > LONGEST_INT_DIGITS or traits.custom:
            self._check_revived(model, canonical_input, spell)
        return Bound(self, model, canonical_input, task_id(self.name, self.version, canonical_input, salt))

    def _checked(self, arguments: Mapping[str, Any], spell: Callable[[Place], str]) -> BaseModel:
        """The arguments after validation and the author's check."""
        try:
            model = self._validated(arguments)
        except ValidationError as error:
            raise _explained(self.name, error, spell) from None
        except PublicError:
            raise
        except Exception as error:
            # Whatever an author's `__post_init__` or validator raises, it refuses the input.
            logger.info("%s refused an input", self.name, exc_info=True)
            raise BadInput(f"{self.name}: {_refusal(error)}") from error
        if self.checks is not None:
            try:
                self.checks(**self.values(model))
            except BadInput as error:
                if isinstance(named := error.details.get("argument"), str):
                    error.details["argument"] = spell(tuple(named.split(".")))
                raise
            except (ValueError, AssertionError) as error:
                raise BadInput(f"{self.name}: {_refusal(error)}") from error
        return model

    def _check_revived(self, model: BaseModel, canonical_input: bytes, spell: Callable[[Place], str]) -> None:
        """Refuses an input that a worker would not get as it is.

        Raises:
            BadInput: an `int` is too long to be read again from its digits (a BigInt is not), or an author's validator
                made something that its type's JSON does not say.
        """
        try:
            if not self.input_traits.custom:
                self.revive(canonical_input)
                return
            changed = self.changed(model, canonical_input)
        except ValidationError as error:
            raise _explained(self.name, error, spell) from None
        if changed is not None:
            argument, place = changed
            raise BadInput(
                f"{self.name}: {place}: what a validator or a __post_init__ made of it does not come back from JSON, "
                "so the function would get something else; keep it in a field that has a default",
                argument=spell((argument,)),
            )

    def changed(self, model: BaseModel, canonical_input: bytes) -> tuple[str, str] | None:
        """The argument, and the place in it, of the first value that a worker would get in another form."""
        revived = self.revive(canonical_input)
        for name, value in self.values(model).items():
            place = difference(revived[name], value, name)
            if place is not None:
                return name, place
        return None

    def _validated(self, arguments: Mapping[str, Any]) -> BaseModel:
        try:
            return self.input_model.__pydantic_validator__.validate_python(  # type: ignore[no-any-return]
                dict(arguments), by_alias=False, by_name=True
            )
        except ValidationError as error:
            # A strict model takes a list for a set, or a value for an enum, from JSON only, which clients send.
            kinds = {item["type"] for item in error.errors(include_url=False, include_context=False)}
            if kinds.isdisjoint(STRICT_REFUSALS):
                raise
            try:
                text = to_json(dict(arguments), inf_nan_mode="constants")
            except ValueError:
                raise error from None
            return self.input_model.model_validate_json(text, by_alias=False, by_name=True)

    def values(self, model: BaseModel) -> dict[str, Any]:
        """The arguments as the function takes them."""
        return {argument.name: getattr(model, argument.name) for argument in self.arguments}

    def revive(self, canonical_input: bytes | str) -> dict[str, Any]:
        """The function's arguments from a record's input. It was validated when it was submitted, and is not again.

        Raises:
            ValidationError: it is none of this task type's, as after a change of the function without a new version.
        """
        return self.values(self._input_reader.validate_json(canonical_input, by_alias=False, by_name=True))

    def read(self, result: bytes | str) -> Any:
        """The output from a record's result, without the author's validators.

        Raises:
            ValidationError: it is none of this task type's.
        """
        return self._output_reader.validate_json(result, by_alias=False, by_name=True)

    def validated_output(self, value: Any) -> Any:
        """What a function returned as its declared type; an instance of a class is looked into when it is written.

        Raises:
            ValidationError: it is none of that type's.
        """
        if isinstance(value, BaseModel) or hasattr(value, "__dataclass_fields__"):
            return value
        return self._output_validator.validate_python(value, by_alias=False, by_name=True)

    def check_read(self, result: bytes, value: Any) -> None:
        """Holds the JSON of an output to what it is read as.

        Raises:
            ValidationError: it is none of the declared type's.
            UnfitOutput: code of the author's has made something that the JSON does not say.
        """
        found = self.read(result)
        if self.output_traits.custom:
            place = difference(found, value, is_input=False)
            if place is not None:
                raise UnfitOutput("is another value when it is read from its JSON", place)

    @cached_property
    def input_traits(self) -> Traits:
        return traits_of(self.input_model.__pydantic_core_schema__, self.input_model.__name__)

    @cached_property
    def output_traits(self) -> Traits:
        return traits_of(self.output.core_schema)

    @cached_property
    def _input_reader(self) -> SchemaValidator:
        if self.input_traits.own_reader:
            return reader(self.input_model.__pydantic_core_schema__, canonical=True)
        return self.input_model.__pydantic_validator__  # type: ignore[return-value]

    @cached_property
    def _output_validator(self) -> SchemaValidator:
        schema = self.output.core_schema
        return trusting(schema) if self.output_traits.custom else self.output.validator  # type: ignore[return-value]

    @cached_property
    def _output_reader(self) -> SchemaValidator:
        return reader(self.output.core_schema) if self.output_traits.own_reader else self.output.validator  # type: ignore[return-value]


@dataclass(frozen=True)
class Bound:
    """A task type with one valid input: what a submission asks for."""

    task_type: TaskType
    model: BaseModel
    canonical_input: bytes
    task_id: str


class Registry(Mapping[str, TaskType]):
    """The task types by name, in the order of their registration."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType] = {}

    def __getitem__(self, name: str) -> TaskType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def add(self, task_type: TaskType) -> None:
        """Adds a task type.

        Raises:
            RegistryError: its name is taken by another function, or by the same one with another version or limits.
        """
        other = self._types.get(task_type.name)
        if other is not None and other.origin != task_type.origin:
            raise RegistryError(
                f"two task types are named {task_type.name!r}: {other.origin} and {task_type.origin}; "
                "give one of them another name: @task(name=...)"
            )
        if other is not None and other.registered_in != task_type.registered_in and not other.declares_as(task_type):
            raise RegistryError(
                f"{task_type.origin} is registered as {task_type.name!r} by {other.registered_in} and, with another "
                f"version or other limits, by {task_type.registered_in}; register it once, or under two names"
            )
        self._types[task_type.name] = task_type


_registered: dict[tuple[str, str], TaskType] = {}
"""By the module that called `task`, and the task type's name."""
_importing: dict[tuple[str, str], frozenset[str]] = {}
"""The modules that were being imported at that time: to each of them the task type belongs."""


@overload
def task(function: F) -> F: ...


@overload
def task(
    *,
    name: str | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    retries: int = 0,
    queue_limit: int | None = None,
    checks: Callable[..., None] | None = None,
) -> Callable[[F], F]: ...


def task(
    function: F | None = None,
    *,
    name: str | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    retries: int = 0,
    queue_limit: int | None = None,
    checks: Callable[..., None] | None = None,
) -> Any:
    """Registers a typed function as a task type; the function itself stays as it is.

    Args:
        name: the task's name in snake case; default: the function's.
        version: part of the task id. Change it when the function's results change, so that kept results are not served.
        timeout_seconds: longest run of one attempt; None for no limit.
        retries: how many more attempts a failing one may have.
        queue_limit: most tasks of this type that may wait; None for the system's limit alone.
        checks: called with the arguments on the api node, to refuse by `BadInput` what the types cannot.

    Raises:
        RegistryError: the function is not fully typed, or a type has no JSON form.
    """

    def register(decorated: F) -> F:
        made = _task_type(decorated, name, version, timeout_seconds, retries, queue_limit, checks, caller)
        _registered[caller, made.name] = made
        _importing[caller, made.name] = frozenset(being_imported)
        return decorated

    caller, being_imported = _callers(sys._getframe(1))
    return register if function is None else register(function)


def _callers(frame: FrameType) -> tuple[str, list[str]]:
    """The module of a frame, and the modules that are being imported now."""
    found: FrameType | None = frame
    imported = []
    while found is not None:
        if found.f_code.co_name == "<module>":
            imported.append(str(found.f_globals.get("__name__", "")))
        found = found.f_back
    return str(frame.f_globals.get("__name__", "")), imported


def load_registry(modules: Iterable[str] = ()) -> Registry:
    """Imports the built-in and the given modules and returns their task types.

    To a module belongs what it registers, what is registered while it is imported, and what it imports of another
    module's; so the order of the modules, and whether one was imported before, do not matter.

    Raises:
        RegistryError: a module cannot be imported or registers nothing, or two task types clash.
    """
    registry = Registry()
    for module in (*BUILT_IN, *modules):
        try:
            importlib.import_module(module)
        # Whatever a user's module raises, the node must say which module it was. An exit would be taken for success.
        except SystemExit as error:
            raise RegistryError(
                f"the task module {module!r} (DASK_GRAPHQL_TASK_MODULES) ends the process where it is imported, by "
                f'sys.exit({error.code!r}) or a parser of arguments: put that below if __name__ == "__main__"'
            ) from error
        except Exception as error:
            raise RegistryError(
                f"cannot import the task module {module!r} (DASK_GRAPHQL_TASK_MODULES): {type(error).__name__}: {error}"
                f"{_where_it_is(module, error)}"
            ) from error
        found = _belonging_to(module)
        if not found:
            raise RegistryError(f"the task module {module!r} has no @task function")
        for made in found:
            registry.add(made)
    return registry


def _belonging_to(module: str) -> list[TaskType]:
    names = vars(sys.modules[module])
    functions = {id(value) for value in names.values()}
    modules = {value.__name__ for value in names.values() if isinstance(value, ModuleType)}
    return [
        made
        for (caller, name), made in _registered.items()
        if caller == module
        or caller.startswith(f"{module}.")
        or module in _importing[caller, name]
        or id(made.function) in functions
        or caller in modules
    ]


def _where_it_is(module: str, error: Exception) -> str:
    """What to do where the module lies in the working folder, from which nothing is imported."""
    top = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name != top:
        return ""
    if not (Path(f"{top}.py").is_file() or Path(top).is_dir()):
        return ""
    return "; it is in the working folder, so set PYTHONPATH=."


def _task_type(
    function: Callable[..., Any],
    name: str | None,
    version: str,
    timeout_seconds: float | None,
    retries: int,
    queue_limit: int | None,
    checks: Callable[..., None] | None,
    registered_in: str = "",
) -> TaskType:
    refuse_callable(function, name)
    where = origin_of(function)
    name = name or underlying(function).__name__
    if not NAME.fullmatch(name):
        more = "; @task(name=...) gives it another" if name == "__call__" else ""
        raise RegistryError(f"{where}: the name {name!r} is not in snake case, as estimate_pi is{more}")
    if not version or len(version) > 64:
        raise RegistryError(f"{where}: a version is 1 to 64 characters, not {version!r}")
    if timeout_seconds is not None and not (timeout_seconds > 0 and math.isfinite(timeout_seconds)):
        raise RegistryError(f"{where}: timeout_seconds must be above 0, not {timeout_seconds}")
    if queue_limit is not None and queue_limit < 1:
        raise RegistryError(f"{where}: queue_limit must be 1 or more, not {queue_limit}")
    if retries < 0:
        raise RegistryError(f"{where}: retries must be 0 or more, not {retries}")
    try:
        hints = typing.get_type_hints(underlying(function), include_extras=True)
    except NameError as error:
        raise RegistryError(f"{where}: a type cannot be resolved: {error}") from error
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise RegistryError(f"{where}: its arguments cannot be read; call it in a function of your own") from error
    arguments = tuple(_argument(where, parameter, hints) for parameter in parameters)
    if "return" not in hints or hints["return"] in (None, type(None)):
        raise RegistryError(f"{where}: say what it returns (a dataclass, a pydantic model or a plain type)")
    returns = output_annotation(hints["return"])
    for item in arguments:
        refuse_opaque(item.annotation, f"{where}, {item.name}")
    refuse_opaque(returns, f"{where}, what it returns")
    model_fields: dict[str, Any] = {
        item.name: (item.annotation, ... if item.required else item.default) for item in arguments
    }
    try:
        with warnings.catch_warnings():
            # An argument may be named as a method of pydantic's that we do not use (copy, json, schema).
            warnings.filterwarnings("ignore", r"Field name .* shadows an attribute", UserWarning)
            input_model = create_model(
                f"{name}_input",
                __config__=ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True),
                **model_fields,
            )
        output: TypeAdapter[Any] = TypeAdapter(returns)
        refuse_one_way(input_model.__pydantic_core_schema__, where, arguments_of=input_model.__name__)
        refuse_one_way(output.core_schema, f"{where}, what it returns")
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        words = str(error).splitlines()[0].partition(". Set `")[0].rstrip(".")
        raise RegistryError(
            f"{where}: a type has no JSON form: {words}; use plain types, enums, lists, dataclasses or models"
        ) from error
    _check_defaults(where, arguments, input_model)
    made = TaskType(
        name, version, function, arguments, returns, timeout_seconds, retries, queue_limit, checks, input_model, output,
        registered_in,
    )  # fmt: skip
    _check_revived_defaults(where, made)
    return made


def _argument(where: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Argument:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise RegistryError(f"{where}: *args, **kwargs and positional-only arguments have no name in GraphQL")
    if parameter.name not in hints:
        raise RegistryError(f"{where}: the argument {parameter.name!r} has no type; write {parameter.name}: int, say")
    if (
        parameter.name.startswith("_")
        or parameter.name in RESERVED_ARGUMENTS
        or (parameter.name.startswith("model_") and hasattr(BaseModel, parameter.name))
    ):
        raise RegistryError(f"{where}: an argument cannot be named {parameter.name!r} here; give it another name")
    return Argument(parameter.name, hints[parameter.name], parameter.default)


def _check_defaults(where: str, arguments: Iterable[Argument], input_model: type[BaseModel]) -> None:
    """A default that does not fit would be found by the first client who leaves the argument out."""
    defaults = {item.name: item.default for item in arguments if not item.required}
    try:
        input_model.model_validate({}, by_alias=False, by_name=True)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            if name in defaults:
                hint = f"; write {name}: ... | None" if defaults[name] is None else ""
                raise RegistryError(
                    f"{where}: the default of {name!r}, {came(defaults[name])}, does not fit its type: "
                    f"{problem['msg']}{hint}"
                ) from None


def _check_revived_defaults(where: str, made: TaskType) -> None:
    """A default that has no JSON form of its own would be another value on the worker."""
    optional = tuple(item for item in made.arguments if not item.required and not isinstance(item.default, _PLAIN))
    if not optional:
        return
    fields: dict[str, Any] = {item.name: (item.annotation, item.default) for item in optional}
    model = create_model(made.input_model.__name__, __config__=made.input_model.model_config, **fields)
    alone = replace(made, arguments=optional, input_model=model, checks=None)
    try:
        bound = alone.bind({})
        changed = alone.changed(bound.model, bound.canonical_input)
    except BadInput as error:
        raise RegistryError(f"{where}: a default cannot be an input: {error.message}") from error
    if changed is not None:
        raise RegistryError(
            f"{where}: the default of {changed[0]!r} does not come back from its JSON ({changed[1]}); give one that "
            "does"
        )


def output_annotation(annotation: Any) -> Any:
    """The declared output type: `Graph[T]` and `Annotated[Graph[T], ...]` mean `T`."""
    if get_origin(annotation) is Annotated and get_origin(get_args(annotation)[0]) is Graph:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Graph:
        return get_args(annotation)[0]
    return annotation


def _refusal(error: Exception) -> str:
    """What an author's code said against an input; a ValueError's own words, any other with its type and place."""
    if isinstance(error, ValueError | AssertionError) and str(error):
        return str(error)[:500]
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    place = f" in {step.tb_frame.f_code.co_qualname}" if step is not None else ""
    return f"the input raised {type(error).__name__}{place}: {str(error)[:500]}"


def _explained(name: str, error: ValidationError, spell: Callable[[Place], str]) -> BadInput:
    """A validation error in one line that names each argument, what was expected and what came."""
    parts = []
    problems = error.errors(include_url=False, include_context=False)
    for item in problems[:5]:
        given = "" if item["type"] in ("missing", "extra_forbidden") else f", not {came(item['input'])}"
        parts.append(f"{spell(item['loc']) or 'input'}: {item['msg']}{given}")
    if len(problems) > 5:
        parts.append(f"and {len(problems) - 5} more")
    details = {"argument": spell(problems[0]["loc"])} if problems[0]["loc"] else {}
    return BadInput(f"{name}: " + "; ".join(parts), **details)


def came(value: Any) -> str:
    """A value in at most about 80 characters, for a message; also where Python refuses to write it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return decimal_text(value)[:80]
    if isinstance(value, str):
        return repr(value[:80])
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # a long integer in a list: CPython writes at most 4,300 digits
        return f"a {type(value).__name__}"
