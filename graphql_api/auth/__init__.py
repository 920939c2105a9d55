"""Authentication and authorization: API keys, JWTs, scopes and tenants."""
