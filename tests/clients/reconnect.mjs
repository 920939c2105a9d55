// graphql-ws through a restart of the api: a result that waits, then a lost socket, then the result.
//   prints `waiting` when it is subscribed
import WebSocket from "ws";
import { RESULT, socketUrl } from "./common.mjs";
import { createClient } from "graphql-ws";

let connections = 0;
const client = createClient({
  url: socketUrl,
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 200)),
  webSocketImpl: WebSocket,
  on: { connected: () => (connections += 1) },
});
const results = client.iterate({ query: RESULT, variables: { id: process.argv[3] } });
client.on("message", () => {});
const ready = client.on("connected", () => {
  console.log("waiting");
  ready();
});
const { value } = await results.next();
console.log(JSON.stringify({ connections, state: value.data.taskResult.state }));
await client.dispose();
process.exit(0);
