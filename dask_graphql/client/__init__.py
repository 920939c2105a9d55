"""The Python client of the api: submits any task type, waits for results, follows events, downloads blobs.

    with Client("http://127.0.0.1:8000") as client:
        print(client.submit("fibonacci", n=90).result()["value"])

`AsyncClient` is the same for asyncio. Both use httpx and websockets instead of the library gql: gql takes twice as long
to import, its subscriptions end with their socket, and a client that reads all types from `taskTypes` needs no GraphQL
parser. See docs/python-client.md.

Programs import these names from `dask_graphql`.
"""
