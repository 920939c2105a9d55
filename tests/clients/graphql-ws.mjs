// graphql-ws: everything over one WebSocket, graphql-transport-ws.
import WebSocket from "ws";
import { N, RESULT, SUBMIT, TYPES, socketUrl, tell, token } from "./common.mjs";
// [docs]
import { createClient } from "graphql-ws";

const client = createClient({
  url: socketUrl, // wss://api.example.com/graphql
  connectionParams: () => (token ? { authorization: `Bearer ${token}` } : null),
  retryAttempts: Infinity, // a task continues without its socket: after any pause the result is there
  shouldRetry: () => true,
  keepAlive: 20_000,
  webSocketImpl: WebSocket, // in Node only
});
// [/docs]

const run = async (query, variables) => {
  for await (const item of client.iterate({ query, variables })) return item;
};
const types = await run(TYPES);
const submitted = await run(SUBMIT, { n: N });
const result = await run(RESULT, { id: submitted.data.submitFibonacci.taskId });
const refused = await run("{ nothing }").catch((errors) => errors);
await client.dispose();
tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
