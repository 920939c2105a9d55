"""What every resolver gets: the node that serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from strawberry.types import Info

from cluster.node import Node


@dataclass
class Context:
    """One request, or one WebSocket with all its operations."""

    node: Node
    wrappers: dict[str, type] = field(default_factory=dict)
    connection_params: dict[str, Any] = field(default_factory=dict)


ApiInfo: TypeAlias = Info[Context, None]
