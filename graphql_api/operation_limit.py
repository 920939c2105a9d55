"""OPERATIONS_PER_MINUTE: what a caller does on one node, whether by GraphQL, as an upload or as a download."""

from __future__ import annotations

import math

from cluster.api_node.node import Node
from cluster.errors import RateLimited
from graphql_api.auth.callers import Caller


def take_operation(node: Node, caller: Caller) -> None:
    """Takes a token of the caller's operations on this node.

    Raises:
        RateLimited: it sent too many operations in the last minute.
    """
    rates = node.operation_rates
    if wait := rates.take(caller.name, caller.account):
        limit, seconds = rates.limit_of(caller.account), math.ceil(wait)
        raise RateLimited(
            f"at most {limit} operations per minute of one caller; try again in {seconds} s",
            limit=limit,
            retryAfterSeconds=seconds,
        )
