"""Plain HTTP besides /graphql: pages, downloads, health, metrics."""
