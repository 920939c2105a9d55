"""Read by every Python of an emulated container at its start: names of the deployment lead to loopback.

In AWS a task has an address of its own and asks its VPC's resolver. Here all share one address, so the answer has a
port too: whoever plays ECS's agents (agents.py) says where a name's port is now, by what Cloud Map holds then.
"""

import json
import os
import socket
import sys
import urllib.parse
import urllib.request

RESOLVER = os.environ.get("EMULATED_RESOLVER", "")
ENDINGS = (".internal", ".amazonaws.com")

system_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host, port, *arguments, **options):  # type: ignore[no-untyped-def]
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or not name.endswith(ENDINGS):
        return system_getaddrinfo(host, port, *arguments, **options)
    query = urllib.parse.urlencode({"host": name, "port": port})
    with urllib.request.urlopen(f"{RESOLVER}?{query}", timeout=10) as answer:
        found = json.load(answer)
    if found is None:
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not known (emulated)")
    return system_getaddrinfo("127.0.0.1", found, *arguments, **options)


if RESOLVER:
    socket.getaddrinfo = getaddrinfo
    # Its loop resolves names in C, past the function above; uvicorn takes asyncio's own where it is missing.
    sys.modules["uvloop"] = None  # type: ignore[assignment]
