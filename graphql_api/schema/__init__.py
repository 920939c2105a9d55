"""The registry as a GraphQL schema: builder, roots, and the mapping of types."""
