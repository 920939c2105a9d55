// urql: HTTP for queries and mutations, a WebSocket for subscriptions.
import { N, RESULT, SUBMIT, TYPES, tell, token, url } from "./common.mjs";
import { socket } from "./socket.mjs";
// [docs]
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";

const client = new Client({
  url, // https://api.example.com/graphql
  preferGetMethod: false,
  fetchOptions: () => (token ? { headers: { authorization: `Bearer ${token}` } } : {}),
  exchanges: [
    cacheExchange,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({
          // The socket of graphql-ws, above.
          unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink),
        }),
      }),
    }),
  ],
});
// [/docs]

const types = await client.query(TYPES, {}).toPromise();
const submitted = await client.mutation(SUBMIT, { n: N }).toPromise();
const result = await new Promise((resolve) => {
  const subscription = client.subscription(RESULT, { id: submitted.data.submitFibonacci.taskId });
  subscription.subscribe((item) => resolve(item));
});
const refused = (await client.query("{ nothing }", {}).toPromise()).error.graphQLErrors;
tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
