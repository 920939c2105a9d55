"""GraphQL over HTTP, WebSockets and server-sent events: what the standards ask beyond Strawberry."""
