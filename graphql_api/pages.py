"""placeholder until the pages helper delivers"""

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute


def graphiql_page() -> Response:
    return HTMLResponse("graphiql")


def page_routes() -> list[BaseRoute]:
    return []
