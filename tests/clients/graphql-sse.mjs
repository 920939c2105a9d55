// graphql-sse: queries, mutations and subscriptions as server-sent events, in its distinct connections mode.
import { N, RESULT, SUBMIT, TYPES, url, tell, token } from "./common.mjs";
// [docs]
import { createClient } from "graphql-sse";

const client = createClient({
  url, // https://api.example.com/graphql
  headers: () => (token ? { authorization: `Bearer ${token}` } : {}),
  retryAttempts: Infinity,
});
// [/docs]

const run = async (query, variables) => {
  for await (const item of client.iterate({ query, variables })) return item;
};
const types = await run(TYPES);
const submitted = await run(SUBMIT, { n: N });
const result = await run(RESULT, { id: submitted.data.submitFibonacci.taskId });
const refused = (await run("{ nothing }")).errors;
client.dispose();
tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
