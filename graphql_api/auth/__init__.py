"""Who calls, and what they may: API keys, JWTs, scopes and tenants."""
