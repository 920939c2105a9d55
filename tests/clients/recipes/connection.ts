// An api in this process: documents are executed by graphql-js against schema.graphql. A task is QUEUED until
// someone follows it: then it is RUNNING, and then SUCCEEDED.
import { readFileSync } from "node:fs";
import { buildSchema, execute, parse, subscribe, validate } from "graphql";
import type { ExecutionResult } from "graphql";

type Request = { query: string; operationName?: string | null; variables?: any };
type Sink = { next(item: any): void; error(reason: unknown): void; complete(): void };

export const url = "http://api.example/graphql";
export const token: string | null = null;
/** The names of the operations that were asked for, in order. */
export const asked: string[] = [];

const schema = buildSchema(readFileSync("schema.graphql", "utf8"));
const tasks: any[] = [];
const at = "2026-01-31T12:00:00Z";

function submit(n: number) {
  const digits = String(n);
  const task = {
    __typename: "Task", id: digits.padStart(32, "0"), name: "fibonacci", state: "QUEUED", progress: null as number | null,
    submittedAt: at, input: { n }, output: null as unknown, result: null as unknown, error: null,
  };
  tasks.unshift(task);
  return task;
}

async function* life(task: any) {
  Object.assign(task, { state: "RUNNING", progress: 0.5 });
  yield { seq: 2, at, kind: "STARTED", task: { ...task } };
  const { n } = task.input;
  const result = { __typename: "FibonacciResult", n, value: "55", digits: 2, blob: { sizeBytes: "2" } };
  Object.assign(task, { state: "SUCCEEDED", progress: 1, output: { n, value: "55" }, result });
  yield { seq: 3, at, kind: "SUCCEEDED", task: { ...task } };
}

const workers = (...names: string[]) => names.map((name) => ({ name, state: "RUNNING" }));
const find = (id: string) => tasks.find((task) => task.id === id) ?? null;
const root = {
  tasks({ first = 20, after }: { first?: number; after?: string }) {
    const begin = after ? Number(after) : 0;
    const edges = tasks.slice(begin, begin + first).map((task, at) => ({ cursor: String(begin + at + 1), node: { ...task } }));
    const last = begin + edges.length;
    return {
      edges,
      nodes: edges.map(({ node }) => node),
      pageInfo: { hasNextPage: last < tasks.length, hasPreviousPage: begin > 0, endCursor: String(last), startCursor: String(begin + 1) },
    };
  },
  node: ({ id }: { id: string }) => find(id),
  task: ({ taskId }: { taskId: string }) => find(taskId),
  submitFibonacci({ n }: { n: number }) {
    const task = submit(n);
    return { outcome: "NEW", taskId: task.id, task: { ...task } };
  },
  async *taskEvents({ taskId }: { taskId: string }) {
    for await (const event of life(find(taskId))) yield { taskEvents: event };
  },
  cluster: () => ({ waiting: 0, workers: workers("a", "b") }),
  async *clusterChanges() {
    yield { clusterChanges: { waiting: 5, workers: workers("a") } };
  },
  async *runFibonacci({ n }: { n: number }) {
    const task = submit(n);
    for await (const { kind } of life(task)) if (kind === "SUCCEEDED") yield { runFibonacci: { ...task } };
  },
};

function prepared({ query, operationName, variables }: Request) {
  asked.push(operationName ?? "");
  const document = parse(query);
  const errors = validate(schema, document);
  if (errors.length) throw new Error(errors.join("\n"));
  return { schema, document, rootValue: root, variableValues: variables, operationName };
}

globalThis.fetch = async (_url, init) => {
  const answer = await execute(prepared(JSON.parse(String(init!.body))));
  return new Response(JSON.stringify(answer), { headers: { "content-type": "application/json" } });
};

/** What the socket of graphql-ws does for a subscription. */
export const socket = {
  subscribe(request: Request, sink: Sink) {
    let open = true;
    const follow = async () => {
      const items = (await subscribe(prepared(request))) as AsyncIterable<ExecutionResult>;
      for await (const item of items) if (open) sink.next(JSON.parse(JSON.stringify(item)));
      if (open) sink.complete();
    };
    follow().catch((reason) => sink.error(reason));
    return () => { open = false; };
  },
};

/** Three tasks that were there before. */
for (const n of [1, 2, 3]) submit(n);

/** Lets what is pending in this process be done. */
export const settled = () => new Promise((done) => setTimeout(done, 50));
