"""One subscription of a client: its document, its callbacks, and its state on the current connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dask_graphql.client.errors import ClientError
from dask_graphql.client.retry import RetryBudget


class Subscription:
    """One subscription, from `WebSocketTransport.open` to its end.

    Args:
        query: the document.
        variables: called at each start, so that a subscription resumes where it was.
        on_data: called with the data of each item and its errors.
        on_end: called once, unless the subscription is closed before: with None if it is complete, else with the error.
        complete: whether everything was received. If not, a `complete` message of the api only means that the api node
            stopped.
    """

    def __init__(
        self,
        query: str,
        variables: Callable[[], dict[str, Any]],
        *,
        on_data: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], None],
        on_end: Callable[[ClientError | None], None],
        complete: Callable[[], bool],
    ) -> None:
        self.query = query
        self.variables = variables
        self.on_data = on_data
        self.on_end = on_end
        self.complete = complete
        self.operation_id: str | None = None
        self.budget: RetryBudget | None = None
