"""The GraphQL type of the caller of a request."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from graphql_api.auth.callers import Scope

strawberry.enum(Scope, name="Scope", description="A permission of a caller.")


@strawberry.type(name="Caller", description="The caller of a request.")
class CallerType:
    name: str = strawberry.field(description="For programs: `key:<id>`, `jwt:<subject>`, `address:<ip>`.")
    title: str = strawberry.field(
        description="For people: the name of the API key, the subject of the JWT, or the address."
    )
    tenant: str | None = strawberry.field(
        description="The tenant whose tasks the caller sees; null if tenants share tasks."
    )
    scopes: list[Scope] = strawberry.field(description="What the caller may do.")
    task_id_salt: str | None = strawberry.field(
        description="The member `salt` of the JSON that is hashed into this tenant's task ids; null if tenants share "
        "tasks."
    )
