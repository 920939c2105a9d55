import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from "@urql/core";
import type { Exchange } from "@urql/core";
import assert from "node:assert/strict";
import { graphcache } from "./cache";
import { aboutTasks } from "./contexts";
import { asked, settled, socket, url } from "./connection";

const LIST = gql`
  query Tasks($after: String, $where: TaskFilter) {
    tasks(first: 2, after: $after, where: $where) {
      edges { cursor node { id state output } } pageInfo { endCursor hasNextPage }
    }
  }
`;
const SUBMIT = gql`mutation Submit($n: Int!) { submitFibonacci(n: $n) { taskId outcome task { id state output } } }`;
const EVENTS = gql`subscription Events($id: ID!) { taskEvents(taskId: $id) { seq kind at data task { id state output } } }`;
const RUN = gql`
  subscription Run { runFibonacci(n: 11) { id state output result { ... on FibonacciResult { n value blob { sizeBytes } } } } }
`;
const READ = gql`query Read($id: ID!) { node(id: $id) { __typename id ... on Task { state output } } }`;
const CLUSTER = gql`query Cluster { cluster { waiting workers { name state } } }`;
const CHANGES = gql`subscription Changes { clusterChanges { waiting workers { name state } } }`;

const connected = (cache: Exchange) =>
  new Client({
    url,
    preferGetMethod: false,
    exchanges: [
      cache,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink as never) }),
        }),
      }),
    ],
  });

/** The list as it is shown, and a way to follow something to its end. */
function watched(client: Client, context = {}) {
  let shown: any[] = [];
  const show = ({ data }: any) => { if (data) shown = data.tasks.edges.map(({ node }: any) => [Number(node.id), node.state]); };
  client.query(LIST, {}, context).subscribe(show);
  const more = (after: string) => client.query(LIST, { after }, context).subscribe(show);
  const follow = async (query: any, variables = {}) => {
    let last: any;
    client.subscription(query, variables, context).subscribe((item) => { last = item; });
    await settled();
    assert.equal(last.error, undefined);
    return last;
  };
  return { shown: () => shown, more, follow };
}

async function objects() {
  const warnings: unknown[] = [];
  console.warn = (...words) => void warnings.push(words);
  const client = connected(graphcache);
  const list = watched(client);
  await settled();
  assert.deepEqual(list.shown(), [[3, "QUEUED"], [2, "QUEUED"]]);
  list.more("2");
  await settled();
  assert.deepEqual(list.shown(), [[3, "QUEUED"], [2, "QUEUED"], [1, "QUEUED"]]);

  const { data } = await client.mutation(SUBMIT, { n: 10 }).toPromise();
  const { id } = data.submitFibonacci.task;
  await settled();
  assert.ok(list.shown().some(([n]) => n === 10));
  const requests = asked.length;
  await list.follow(EVENTS, { id });
  assert.deepEqual(list.shown().find(([n]) => n === 10), [10, "SUCCEEDED"]);
  const read = await client.query(READ, { id }).toPromise();
  assert.deepEqual(read.data.node.output, { n: 10, value: "55" });
  assert.deepEqual(asked.slice(requests), ["Events"]); // neither the list nor `node` has asked again
  assert.equal((await list.follow(RUN)).data.runFibonacci.result.value, "55");
  await client.query(CLUSTER, {}).toPromise();
  await list.follow(CHANGES);
  const { cluster } = client.readQuery(CLUSTER, {})!.data;
  assert.deepEqual([cluster.waiting, cluster.workers.length], [5, 1]);
  assert.deepEqual(warnings, []); // Graphcache warns of types whose key it does not know
}

async function documents() {
  const client = connected(cacheExchange);
  const list = watched(client, aboutTasks);
  await settled();
  const { data } = await client.mutation(SUBMIT, { n: 12 }, aboutTasks).toPromise();
  await settled();
  assert.deepEqual(list.shown()[0], [12, "QUEUED"]);
  await list.follow(EVENTS, { id: data.submitFibonacci.task.id });
  await settled();
  assert.deepEqual(list.shown()[0], [12, "SUCCEEDED"]);
}
objects().then(documents).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
