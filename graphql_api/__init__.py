"""The GraphQL api: speaks GraphQL over HTTP, WebSocket and server-sent events, and owns no state."""
