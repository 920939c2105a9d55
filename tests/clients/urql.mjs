// urql: HTTP for queries and mutations, a WebSocket for subscriptions.
import WebSocket from "ws";
import { N, RESULT, SUBMIT, TYPES, socketUrl, tell, token, url } from "./common.mjs";
// [docs]
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";

const socket = createClient({
  url: socketUrl, // wss://api.example.com/graphql
  connectionParams: () => (token ? { authorization: `Bearer ${token}` } : null),
  retryAttempts: Infinity,
  shouldRetry: () => true,
  webSocketImpl: WebSocket, // in Node only
});
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
