// Against a real api: API_URL is its address.
import assert from "node:assert/strict";
import { createHash, randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { createClient, DaskGraphQLError, Refused, TaskFailed } from "@dask-graphql/client";
import ws from "ws";

const url = process.env.API_URL;
/** The runtime's own where it has one: Node from version 22 on. */
const webSocketImpl = globalThis.WebSocket ? undefined : ws;
const client = createClient({ url, webSocketImpl });
after(() => client.close());

test("a submission has the id that was computed before, and is joined or cached", async () => {
  const input = { a: 2n ** 64n + BigInt(randomInt(2 ** 40)) };
  const expected = await client.taskId("add", input);
  const { taskId, outcome } = await client.submit("add", input, { tags: ["js"] });
  assert.equal(taskId, expected);
  assert.equal(outcome, "NEW");
  const { output, state, name } = await client.result(taskId);
  assert.deepEqual([state, name, output], ["SUCCEEDED", "add", String(input.a + 5n)]);
  assert.equal((await client.submit("add", input)).outcome, "CACHED");
  assert.equal((await client.task(taskId)).output, String(input.a + 5n));
});

test("run submits and returns the record with the output in one operation", async () => {
  const samples = 1 + randomInt(10_000);
  const { output, taskId } = await client.run("estimate_pi", { samples });
  assert.equal(output.samples, samples);
  assert.equal(taskId, await client.taskId("estimate_pi", { samples, seed: 0 }));
  const again = await client.run("estimate_pi", { samples }, { recompute: true });
  assert.equal(again.attempt, 2);
});

test("progress is followed to the result, and onChange of run tells it", async () => {
  const seen = [];
  const { output } = await client.run("stepping", { steps: 3 }, { onChange: (task) => seen.push(task), recompute: true });
  assert.equal(output, 3);
  const numbers = seen.map(({ seq }) => seq);
  assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
  assert.equal(seen.at(-1).final.output, 3);
  assert.ok(seen.every(({ final }, index) => (final !== null) === (index === seen.length - 1)));
});

test("a task may be followed before it is submitted, and through lost connections", async (t) => {
  const proxy = await cuttable(new URL(url));
  const away = createClient({ url: proxy.url, webSocketImpl });
  t.after(async () => {
    await away.close();
    proxy.close();
  });
  const steps = { steps: 4 + randomInt(3) };
  const taskId = await client.taskId("stepping", steps);
  const seqs = [];
  const following = (async () => {
    for await (const task of away.follow(taskId)) {
      seqs.push(task.seq);
      proxy.cut();
      if (task.final) return task.final;
    }
  })();
  await client.submit("stepping", steps, { recompute: true });
  const final = await following;
  assert.equal(final.output, steps.steps);
  assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b));
});

test("the changes of tasks with a tag arrive, after what says that the list is to be read", async () => {
  const tag = `js ${randomInt(2 ** 40)}`;
  const changes = client.changes({ tag });
  assert.equal((await changes.next()).value.reset, true);
  const { taskId } = await client.submit("add", { a: randomInt(2 ** 40) }, { tags: [tag] });
  const kinds = [];
  for await (const change of changes) {
    assert.equal(change.taskId, taskId);
    kinds.push(change.kind);
    if (change.state === "SUCCEEDED") break;
  }
  assert.deepEqual(kinds, ["QUEUED", "STARTED", "SUCCEEDED"]);
  assert.deepEqual((await client.tasks({ where: { tag } })).tasks.map(({ taskId: id, tags }) => [id, tags]), [[taskId, [tag]]]);
});

test("what a task prints arrives line by line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "talking-"));
  const { taskId } = await client.submit("talking", { folder, n: 3 });
  const lines = [];
  for await (const { text } of client.logs(taskId)) {
    lines.push(text);
    writeFileSync(join(folder, "go"), "");
  }
  assert.deepEqual(lines, ["prints 3", "logs 3", "the end"]);
});

test("a task that fails throws its own error, with the record", async () => {
  await assert.rejects(client.run("failing", { message: "the reason" }), (error) => {
    assert.ok(error instanceof TaskFailed);
    assert.equal(error.code, "TASK_FAILED");
    assert.match(error.message, /the reason/);
    assert.equal(error.task.state, "FAILED");
    return true;
  });
});

test("a bad input is refused with its argument; an unknown name tells which there are", async () => {
  await assert.rejects(client.run("fibonacci", { n: -1 }), (error) => error instanceof Refused && error.code === "BAD_INPUT" && error.argument === "n");
  await assert.rejects(client.submit("fibonacci", { n: -1 }), { code: "BAD_INPUT" });
  await assert.rejects(client.submit("fibonaci", {}), (error) => error instanceof DaskGraphQLError && error.code === "UNKNOWN_TASK_TYPE" && /fibonacci/.test(error.message));
  await assert.rejects(client.taskId("fibonacci", { m: 1 }), TypeError);
});

test("an open task is cancelled", async () => {
  const { taskId } = await client.submit("fibonacci", { n: 1 }, { notBefore: new Date(Date.now() + 3_600_000), recompute: true });
  await client.cancel(taskId);
  await assert.rejects(client.result(taskId), { code: "CANCELLED" });
});

test("the list has pages", async () => {
  await client.submit("fibonacci", { n: 3 });
  await client.submit("fibonacci", { n: 4 });
  const first = await client.tasks({ first: 1, where: { names: ["fibonacci"] } });
  const second = await client.tasks({ first: 1, where: { names: ["fibonacci"] }, after: first.endCursor });
  assert.equal(first.tasks.length, 1);
  assert.ok(first.totalCount >= 2);
  assert.notEqual(first.tasks[0].taskId, second.tasks[0].taskId);
});

test("a file is sent once", async () => {
  const content = randomBytes(100_000);
  const steps = [];
  const file = new File([content], "a/b.bin", { type: "application/x-test" });
  const { id, present } = await client.upload(file, { onProgress: ({ doing }) => steps.push(doing) });
  assert.equal(id, `sha256:${createHash("sha256").update(content).digest("hex")}`);
  assert.equal(present, false);
  assert.deepEqual([steps[0], steps.at(-1)], ["hashing", "sending"]);
  assert.deepEqual(await client.upload(file), { id, present: true });
});

test("documents of generators are taken", async () => {
  class TypedDocumentString extends String {}
  const parsed = { kind: "Document", loc: { source: { body: "{ taskTypes { name } }" } } };
  for (const document of [new TypedDocumentString("{ taskTypes { name } }"), parsed]) {
    assert.ok((await client.request(document)).taskTypes.length > 0);
  }
  await assert.rejects(async () => client.request({ kind: "Document", definitions: [] }), TypeError);
});

/** A way to the api that can be cut. */
async function cuttable({ hostname, port }) {
  const links = new Set();
  const server = createServer((link) => {
    const back = connect(port, hostname);
    for (const [from, to] of [[link, back], [back, link]]) {
      links.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy()).on("close", () => links.delete(from) && to.destroy());
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const cut = () => links.forEach((link) => link.destroy());
  return { url: `http://127.0.0.1:${server.address().port}/graphql`, cut, close: () => (cut(), server.close()) };
}
