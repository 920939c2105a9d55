import { ApolloClient, ApolloLink, HttpLink, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import assert from "node:assert/strict";
import { OperationTypeNode } from "graphql";
import { cache } from "./cache";
import { asked, settled, socket, url } from "./connection";

const LIST = gql`
  query Tasks($after: String) {
    tasks(first: 2, after: $after) { edges { cursor node { id state output } } pageInfo { endCursor hasNextPage } }
  }
`;
const SUBMIT = gql`mutation Submit { submitFibonacci(n: 10) { taskId outcome task { id state output } } }`;
const EVENTS = gql`subscription Events($id: ID!) { taskEvents(taskId: $id) { seq kind task { id state output } } }`;
const RUN = gql`subscription Run { runFibonacci(n: 11) { id state result { ... on FibonacciResult { n value } } } }`;
const READ = gql`query Read($id: ID!) { node(id: $id) { id ... on Task { state output } } }`;
const DIGITS = gql`query Digits($id: ID!) { task(taskId: $id) { id result { ... on FibonacciResult { digits } } } }`;
const VALUE = gql`query Value($id: ID!) { task(taskId: $id) { id result { ... on FibonacciResult { n value } } } }`;
const CLUSTER = gql`query Cluster { cluster { waiting workers { name state } } }`;
const CHANGES = gql`subscription Changes { clusterChanges { waiting workers { name state } } }`;

async function main() {
  const warnings: unknown[] = [];
  console.warn = console.error = (...words) => void warnings.push(words);
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket as never),
    new HttpLink({ uri: url }),
  );
  const client = new ApolloClient({ link, cache });
  const follow = (query: any, variables = {}) =>
    new Promise<void>((complete, error) => void client.subscribe({ query, variables }).subscribe({ complete, error }));
  const shown = () => (list.getCurrentResult().data as any).tasks.edges.map(({ node }: any) => [Number(node.id), node.state]);

  const list = client.watchQuery({ query: LIST });
  list.subscribe({});
  await settled();
  const { pageInfo } = (list.getCurrentResult().data as any).tasks;
  await list.fetchMore({ variables: { after: pageInfo.endCursor } });
  await settled();
  assert.deepEqual(shown(), [[3, "QUEUED"], [2, "QUEUED"], [1, "QUEUED"]]);

  const { data }: any = await client.mutate({ mutation: SUBMIT, refetchQueries: ["Tasks"], awaitRefetchQueries: true });
  await settled();
  const id = data.submitFibonacci.task.id;
  assert.deepEqual(shown()[0], [10, "QUEUED"]);
  const requests = asked.length;
  await follow(EVENTS, { id });
  await settled();
  assert.deepEqual(shown()[0], [10, "SUCCEEDED"]);
  const read: any = await client.query({ query: READ, variables: { id } });
  assert.deepEqual(read.data.node.output, { n: 10, value: "55" });
  assert.deepEqual(asked.slice(requests), ["Events"]); // neither the list nor `node` has asked again

  await follow(RUN);
  const stored: any = cache.extract();
  const run = `Task:${JSON.stringify({ id: "11".padStart(32, "0") })}`;
  assert.equal(stored[run].state, "SUCCEEDED");
  assert.equal(stored[run].result.value, "55");

  const variables = { id };
  await client.query({ query: VALUE, variables });
  await client.query({ query: DIGITS, variables });
  const both = (cache.extract() as any)[`Task:${JSON.stringify({ id })}`].result;
  assert.deepEqual([both.value, both.digits], ["55", 2]); // the second selection has not taken away the first one's

  await client.query({ query: CLUSTER });
  await follow(CHANGES);
  const { cluster }: any = client.readQuery({ query: CLUSTER });
  assert.deepEqual([cluster.waiting, cluster.workers.length], [5, 1]);
  assert.deepEqual(warnings, []); // Apollo warns of objects that it cannot merge
  await assert.rejects(client.query({ query: gql`query NoId { tasks { edges { node { state } } } }` }), /Invariant Violation/);
}
main().then(() => process.exit(0), (error) => { console.log(error); process.exit(1); });
