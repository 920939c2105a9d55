// subscriptions-transport-ws: the legacy protocol, which older Apollo clients and servers speak.
import { N, RESULT, SUBMIT, TYPES, socketUrl, tell, token } from "./common.mjs";
// [docs]
import transport from "subscriptions-transport-ws";

const client = new transport.SubscriptionClient(
  socketUrl,
  { reconnect: true, connectionParams: token ? { authorization: `Bearer ${token}` } : {} },
  WebSocket,
);
// [/docs]

const run = (query, variables) =>
  new Promise((resolve, reject) => {
    client.request({ query, variables }).subscribe({ next: resolve, error: reject });
  });
const types = await run(TYPES);
const submitted = await run(SUBMIT, { n: N });
const result = await run(RESULT, { id: submitted.data.submitFibonacci.taskId });
const refused = await run("{ nothing }").then((item) => item.errors, (error) => [error]);
client.close();
tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
