// graphql-ws: everything over one WebSocket, graphql-transport-ws.
import { N, RESULT, SUBMIT, TYPES, tell } from "./common.mjs";
import { socket } from "./socket.mjs";

const run = async (query, variables) => {
  for await (const item of socket.iterate({ query, variables })) return item;
};
try {
  const types = await run(TYPES);
  const submitted = await run(SUBMIT, { n: N });
  const result = await run(RESULT, { id: submitted.data.submitFibonacci.taskId });
  const refused = await run("{ nothing }").catch((errors) => errors);
  await socket.dispose();
  tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
} catch (closed) {
  tell({ code: closed.code, reason: closed.reason });
}
