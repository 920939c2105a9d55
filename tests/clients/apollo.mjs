// Apollo Client: HTTP for queries and mutations, a WebSocket for subscriptions.
import { N, RESULT, SUBMIT, TYPES, tell, token, url } from "./common.mjs";
import { socket } from "./socket.mjs";
// [docs]
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";

const http = new HttpLink({
  uri: url, // https://api.example.com/graphql
  headers: token ? { authorization: `Bearer ${token}` } : {},
});
const subscriptions = new GraphQLWsLink(socket); // of graphql-ws, above
const client = new ApolloClient({
  link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, subscriptions, http),
  // A task is one object wherever it comes from, by its id: select `id`.
  cache: new InMemoryCache({ typePolicies: { Task: { keyFields: ["id"] } } }),
});
// [/docs]

const types = await client.query({ query: gql(TYPES) });
const submitted = await client.mutate({ mutation: gql(SUBMIT), variables: { n: N } });
const query = gql(RESULT.replace("{ state", "{ id state"));
const variables = { id: submitted.data.submitFibonacci.taskId };
const result = await new Promise((resolve, reject) => {
  client.subscribe({ query, variables }).subscribe({ next: resolve, error: reject });
});
const refused = await client.query({ query: gql("{ nothing }") }).catch((error) => error.errors ?? [error]);
tell({ types: types.data, submitted: submitted.data, result: result.data, refused, n: N });
