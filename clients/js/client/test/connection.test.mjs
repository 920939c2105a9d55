// What happens to a connection, against an api that a script controls.
import assert from "node:assert/strict";
import test from "node:test";
import { createClient, Refused, Unreachable } from "@dask-graphql/client";
import ws from "ws";
import { fakeApi } from "./fake-api.mjs";

/** The runtime's own where it has one: Node from version 22 on. */
const webSocketImpl = globalThis.WebSocket ? undefined : ws;

const event = (seq, state = "RUNNING") => ({
  taskEvents: { taskId: "t", seq, kind: "PROGRESS", state, attempt: 1, at: "", progress: seq / 10, message: null },
});
const refused = (code) => ({ errors: [{ message: "no", extensions: { code } }] });

/** A fake api and a client of it, closed at the end of the test. */
async function pair(t, on, options = {}) {
  const api = await fakeApi(on);
  const client = createClient({ url: api.url, webSocketImpl, ...options });
  t.after(async () => {
    await client.close();
    api.close();
  });
  return { api, client };
}

test("events continue after a lost connection with the last seq, without repetition", async (t) => {
  const asked = [];
  const { client } = await pair(t, {
    subscribe: ({ variables }, emit) => {
      asked.push(variables.afterSeq);
      if (asked.length === 1) [1, 2].forEach((seq) => emit.next(event(seq)));
      if (asked.length === 2) [2, 3].forEach((seq) => emit.next(event(seq))); // a repetition is dropped
      if (asked.length < 3) return setTimeout(() => emit.cut(asked.length === 1 ? undefined : 1012), 20);
      emit.next(event(4, "SUCCEEDED"));
      emit.complete();
    },
  });
  const seen = [];
  const states = new Set();
  client.onConnectionChange(() => states.add(client.connectionState));
  for await (const { seq } of client.events("t")) seen.push(seq);
  assert.deepEqual(seen, [1, 2, 3, 4]);
  assert.deepEqual(asked, [0, 2, 3]);
  assert.ok(states.has("lost") && states.has("connected"));
});

test("a task that is queued tells why, and runs on when it starts", async (t) => {
  const asked = [];
  let emitter;
  const waiting = { reason: "NO_WORKER", ahead: 2, etaSeconds: null };
  const { client } = await pair(t, {
    post: ({ query, variables }) => {
      if (query.includes("taskTypes")) return { body: { data: { taskTypes: [{ name: "x", version: "1", fields: [], members: [] }], caller: {} } } };
      asked.push(variables.taskId);
      return { body: { data: { task: { waiting } } } };
    },
    subscribe: ({ query }, emit) => {
      if (query.includes("taskResult")) {
        emit.next({ taskResult: { taskId: "t", name: "x", state: "FAILED", attempt: 1, seq: 3 } });
        return emit.complete();
      }
      emitter = emit;
      emit.next(event(1, "QUEUED"));
    },
  });
  const seen = [];
  for await (const task of client.follow("t", { waiting: true })) {
    seen.push([task.state, task.waiting?.ahead]);
    if (task.waiting) [event(2), event(3, "FAILED")].forEach((one) => emitter.next(one)), emitter.complete();
  }
  assert.deepEqual(seen, [["QUEUED", undefined], ["QUEUED", 2], ["RUNNING", undefined], ["FAILED", undefined]]);
  assert.deepEqual(asked, ["t", ...asked.slice(1)]);
});

test("who stops reading while a task is queued ends the subscription", async (t) => {
  let ended;
  const completed = new Promise((resolve) => (ended = resolve));
  const { api, client } = await pair(t, {
    post: () => ({ body: { data: { task: { waiting: { reason: "PAUSED", ahead: null, etaSeconds: null } } } } }),
    subscribe: (_, emit) => emit.next(event(1, "QUEUED")),
    complete: () => ended(),
  });
  assert.ok(api.url);
  for await (const { waiting } of client.follow("t", { waiting: true })) if (waiting) break;
  await completed;
});

test("changes continue after a lost connection with the cursor of the last one", async (t) => {
  const asked = [];
  const change = (cursor) => ({ tasksChanged: { cursor, reset: cursor === "a", taskId: "t", matches: true } });
  const { client } = await pair(t, {
    subscribe: ({ variables }, emit) => {
      asked.push([variables.where.tag, variables.after]);
      (asked.length === 1 ? ["a", "b"] : ["c"]).forEach((cursor) => emit.next(change(cursor)));
      if (asked.length === 1) setTimeout(() => emit.cut(), 20);
    },
  });
  const seen = [];
  for await (const { cursor } of client.changes({ tag: "x" })) {
    seen.push(cursor);
    if (cursor === "c") break;
  }
  assert.deepEqual(seen, ["a", "b", "c"]);
  assert.deepEqual(asked, [["x", null], ["x", "b"]]);
});

test("a refused token is renewed once, and the subscription continues", async (t) => {
  const asked = [];
  let valid = "first";
  const { client, api } = await pair(t, {
    accept: (token) => token === valid,
    subscribe: ({ variables }, emit) => {
      if (variables.afterSeq === 0) {
        emit.next(event(1));
        valid = "second";
        setTimeout(() => api.cut(4403), 20); // it expires
      } else {
        emit.next(event(2, "SUCCEEDED"));
        emit.complete();
      }
    },
  }, { token: (old) => (asked.push(old), old === undefined ? "first" : "second") });
  const seen = [];
  for await (const { seq } of client.events("t")) seen.push(seq);
  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(asked, [undefined, "first"]);
});

for (const [what, token, questions] of [
  ["that stays the same", (asked) => () => (asked.push(1), "bad"), 2],
  ["whose successor is refused too", (asked) => () => (asked.push(1), `bad ${asked.length}`), 2],
  ["that has no successor", (asked) => (old) => (asked.push(1), old ? null : "bad"), 2],
]) {
  test(`a refused token ${what} ends the subscription with UNAUTHENTICATED, and is not tried for ever`, async (t) => {
    const asked = [];
    const { client } = await pair(t, { accept: () => false, subscribe: () => assert.fail() }, { token: token(asked) });
    await assert.rejects(client.events("t").next(), (error) => error instanceof Refused && error.code === "UNAUTHENTICATED");
    assert.equal(asked.length, questions);
  });
}

test("a request whose token is refused is sent again with another one, once", async (t) => {
  const tokens = [];
  const post = (_, token) => (tokens.push(token), token === "good" ? { body: { data: { ok: 1 } } } : { status: 401, body: refused("UNAUTHENTICATED") });
  const { client } = await pair(t, { post }, { token: (old) => (old ? "good" : "old") });
  assert.deepEqual(await Promise.all([client.request("{ ok }"), client.request("{ ok }")]), [{ ok: 1 }, { ok: 1 }]);
  assert.deepEqual(tokens.sort(), ["good", "good", "old", "old"]);
});

test("an error of getToken reaches the caller, and the next operation asks again", async (t) => {
  let asked = 0;
  const { client } = await pair(t, { post: () => ({ body: { data: { ok: 1 } } }) }, {
    token: () => { if (asked++ === 0) throw new Error("signed out"); return "good"; },
  });
  await assert.rejects(client.request("{ ok }"), /signed out/);
  assert.deepEqual(await client.request("{ ok }"), { ok: 1 });
});

test("refusals have the api's code, argument and details", async (t) => {
  const error = { message: "n: too small", extensions: { code: "BAD_INPUT", argument: "n", limit: 0 } };
  const { client } = await pair(t, {
    post: () => ({ body: { data: null, errors: [error] } }),
    subscribe: (_, emit) => emit.error([error]),
  });
  for (const refusal of [client.request("{ x }"), client.subscribe("subscription { x }").next()]) {
    await assert.rejects(refusal, (reason) => {
      assert.ok(reason instanceof Refused);
      assert.deepEqual([reason.code, reason.argument, reason.message, reason.extensions.limit], ["BAD_INPUT", "n", "n: too small", 0]);
      return true;
    });
  }
});

test("a close that another try would not change ends the subscription", async (t) => {
  const { client } = await pair(t, { subscribe: (_, emit) => emit.cut(4400) });
  await assert.rejects(client.events("t").next(), (error) => error.code === "SOCKET_4400");
});

test("an api that is away is told at once by requests, and waited for by subscriptions until they are aborted", async (t) => {
  const { api, client } = await pair(t, {});
  api.close();
  await assert.rejects(client.request("{ x }"), (error) => error instanceof Unreachable && error.code === "UNREACHABLE");
  const stop = new AbortController();
  const waiting = client.events("t", { signal: stop.signal }).next();
  client.onConnectionChange(() => client.connectionState === "lost" && stop.abort());
  await assert.rejects(waiting, { name: "AbortError" });
});

test("an api that comes back after a while is used again by every subscription", async (t) => {
  const subscribe = ({ variables }, emit) => emit.next(event(variables.afterSeq + 1));
  const { api, client } = await pair(t, { subscribe });
  const all = ["a", "b", "c"].map((taskId) => client.events(taskId));
  await Promise.all(all.map((events) => events.next()));
  const next = Promise.all(all.map((events) => events.next()));
  api.close();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const again = await fakeApi({ subscribe }, Number(new URL(api.url).port));
  t.after(again.close);
  assert.deepEqual((await next).map(({ value }) => value.seq), [2, 2, 2]);
});

test("aborting one subscription tells the api, and leaves the others on the socket", async (t) => {
  const emits = [];
  const { client } = await pair(t, { subscribe: (_, emit) => emits.push(emit) && emit.next(event(1)) });
  const stop = new AbortController();
  const [one, two] = [client.events("a", { signal: stop.signal }), client.events("b")];
  await Promise.all([one.next(), two.next()]);
  const [left, right] = [one.next(), two.next()];
  stop.abort();
  await assert.rejects(left, { name: "AbortError" });
  emits.forEach((emit) => emit.next(event(2)));
  assert.equal((await right).value.seq, 2);
});

test("closing the client ends what waits", async (t) => {
  const { client } = await pair(t, { subscribe: () => {} });
  const waiting = client.events("t").next();
  setTimeout(() => void client.close(), 20);
  await assert.rejects(waiting, { name: "AbortError" });
});
