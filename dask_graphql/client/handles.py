"""The handles of many submissions, as one list."""

from __future__ import annotations

from typing import TypeVar

from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.handle import Handle
from dask_graphql.client.html import handles_html

H = TypeVar("H", AsyncHandle, Handle)


class Handles(list[H]):
    """Handles in the order of their inputs; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return handles_html([handle._handle if isinstance(handle, Handle) else handle for handle in self])
