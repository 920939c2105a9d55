// An api that a script controls: it answers as the test says, and sees what clients send.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/** `on.post(body, token)` returns `{ status, body }`; `on.subscribe(payload, emit, token)` is called for each subscription, `on.complete(id)` when the client ends one. */
export async function fakeApi(on, port = 0) {
  const sockets = new Set();
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { status = 200, body } = await on.post(JSON.parse(Buffer.concat(parts)), tokenOf(request.headers));
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  new WebSocketServer({ server, handleProtocols: () => "graphql-transport-ws" }).on("connection", (socket) => {
    sockets.add(socket);
    let token;
    const send = (message) => socket.send(JSON.stringify(message));
    socket.on("close", () => sockets.delete(socket));
    socket.on("message", (text) => {
      const { type, id, payload } = JSON.parse(text);
      if (type === "connection_init") {
        token = tokenOf(payload ?? {});
        if (on.accept && !on.accept(token)) socket.close(4403, "Forbidden");
        else send({ type: "connection_ack" });
      } else if (type === "ping") send({ type: "pong" });
      else if (type === "subscribe") {
        const emit = {
          next: (data) => send({ type: "next", id, payload: { data } }),
          error: (errors) => send({ type: "error", id, payload: errors }),
          complete: () => send({ type: "complete", id }),
          cut: (code) => (code ? socket.close(code) : socket.terminate()),
        };
        on.subscribe(payload, emit, token);
      } else if (type === "complete") on.complete?.(id);
    });
  });
  await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    cut: (code) => sockets.forEach((socket) => socket.close(code)),
    close: () => {
      sockets.forEach((socket) => socket.terminate());
      server.closeAllConnections();
      server.close();
    },
  };
}

const tokenOf = ({ authorization }) => authorization?.replace("Bearer ", "");
