"""Errors as clients see them: expected refusals unchanged, everything else masked, with an id that is also logged."""

from __future__ import annotations

import logging
import uuid

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import InvalidOperationTypeError

from cluster.errors import BlobError, PublicError, StoreUnavailable
from cluster.observability import metrics
from graphql_api.error_messages import shorten

logger = logging.getLogger(__name__)

STORE_UNAVAILABLE = "the task store does not respond; nothing is lost, try again in a moment"
BLOBS_UNAVAILABLE = "the blob store does not respond; try again in a moment"


def mask_error(error: GraphQLError) -> None:
    """Changes an error in place to what a client may see, with a stable `extensions.code`."""
    original = error.original_error
    extensions = dict(error.extensions or {})
    if original is None:
        # graphql-core refused the document or the variables before any resolver ran.
        code = "GRAPHQL_PARSE_FAILED" if isinstance(error, GraphQLSyntaxError) else "GRAPHQL_VALIDATION_FAILED"
        extensions.setdefault("code", code)
    elif isinstance(original, PublicError):
        extensions.update(
            {name: shorten(value) if isinstance(value, str) else value for name, value in original.extensions.items()}
        )
    elif isinstance(original, StoreUnavailable):
        logger.warning("%s", original)
        error.message = STORE_UNAVAILABLE
        extensions = {"code": "SERVICE_UNAVAILABLE"}
    elif isinstance(original, BlobError):
        logger.warning("%s", original)
        error.message = BLOBS_UNAVAILABLE
        extensions = {"code": "BLOB_UNAVAILABLE"}
    elif error.path is None and isinstance(original, InvalidOperationTypeError | MissingQueryError | ValueError):
        # The client's fault, such as a subscription in a plain POST, or a literal that a scalar refuses.
        extensions.setdefault("code", "GRAPHQL_VALIDATION_FAILED")
    elif isinstance(original, GraphQLError):
        extensions.setdefault("code", "GRAPHQL_VALIDATION_FAILED")
    else:
        error_id = uuid.uuid4().hex[:12]
        logger.error("internal error %s", error_id, exc_info=original)
        error.message = f"internal error, logged with the id {error_id}"
        extensions = {"code": "INTERNAL", "id": error_id}
    error.message = shorten(error.message)
    error.extensions = extensions
    metrics.ERRORS.labels(extensions["code"]).inc()
