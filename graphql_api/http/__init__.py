"""Plain HTTP beside /graphql: pages, downloads, health, metrics."""
