// Apollo Client over HTTP alone: subscriptions by the multipart protocol, documents by their hash.
import { createHash } from "node:crypto";
import { N, RESULT, SUBMIT, TYPES, tell, token, url } from "./common.mjs";
// [docs]
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

const sha256 = (text) => createHash("sha256").update(text).digest("hex"); // or crypto.subtle in a browser
const http = new HttpLink({
  uri: url, // https://api.example.com/graphql
  headers: token ? { authorization: `Bearer ${token}` } : {},
});
const client = new ApolloClient({
  link: new PersistedQueryLink({ sha256 }).concat(http),
  cache: new InMemoryCache({ typePolicies: { Task: { keyFields: ["id"] } } }),
});
// [/docs]

const sent = [];
const fetched = globalThis.fetch;
globalThis.fetch = (target, options) => {
  sent.push("query" in JSON.parse(options.body));
  return fetched(target, options);
};
const types = await client.query({ query: gql(TYPES) });
const registered = sent.splice(0);
await client.query({ query: gql(TYPES), fetchPolicy: "network-only" });
const again = sent.splice(0);
const submitted = await client.mutate({ mutation: gql(SUBMIT), variables: { n: N } });
const query = gql(RESULT.replace("{ state", "{ id state"));
const variables = { id: submitted.data.submitFibonacci.taskId };
const items = [];
await new Promise((complete, error) => {
  client.subscribe({ query, variables }).subscribe({ next: (item) => items.push(item), complete, error });
});
const refused = await client.query({ query: gql("{ nothing }") }).catch((error) => error.errors ?? [error]);
tell({ types: types.data, submitted: submitted.data, result: items[0].data, items: items.length, registered, again, refused, n: N });
