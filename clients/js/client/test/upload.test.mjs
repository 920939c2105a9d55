// Where the bytes of a file go, with an api and a blob store that a script controls.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { createClient, Refused } from "@dask-graphql/client";

const FILE = new File(["hello"], "a.txt", { type: "text/plain" });
const ID = `sha256:${"0".repeat(64)}`;

/** An api whose `createUpload` answers with a URL of `store`, or without it one of itself. */
async function api(t, store) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    const { method, url, headers } = request;
    if (url !== "/graphql") seen.push([method, url, body, headers]);
    const answer = (status, value) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (url === "/bucket/key?signature=1") return answer(store.status, {});
    if (url.startsWith("/files")) return answer(201, { id: ID });
    const target = store
      ? { method: "PUT", url: store.url ?? `${origin}/bucket/key?signature=1`, headers: [["Content-Type", "text/plain"], ["Content-Length", "5"], ["x-amz-checksum-sha256", "abc"]] }
      : { method: "POST", url: "/files", headers: [] };
    const shown = target.headers.map(([name, value]) => ({ name, value }));
    return answer(200, { data: { createUpload: { fileId: ID, present: false, ...target, headers: shown } } });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const client = createClient({ url: `${origin}/graphql`, token: "secret" });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, seen };
}

test("a file goes to the blob store, with its headers and without the credential", async (t) => {
  const { client, seen } = await api(t, { status: 200 });
  const steps = [];
  assert.deepEqual(await client.upload(FILE, { onProgress: ({ doing }) => steps.push(doing) }), { id: ID, present: false });
  const [[method, url, body, headers], ...more] = seen;
  assert.deepEqual([method, url, body, more], ["PUT", "/bucket/key?signature=1", "hello", []]);
  assert.equal(headers["x-amz-checksum-sha256"], "abc");
  assert.equal(headers["content-length"], "5");
  assert.equal(headers.authorization, undefined);
  assert.equal(steps.at(-1), "sending");
});

test("a file goes through the api if the blob store refuses it", async (t) => {
  const { client, seen } = await api(t, { status: 403 });
  assert.deepEqual(await client.upload(FILE), { id: ID, present: false });
  assert.deepEqual(seen.map(([method, url]) => [method, url]), [["PUT", "/bucket/key?signature=1"], ["POST", "/files?name=a.txt"]]);
  assert.equal(seen[1][3].authorization, "Bearer secret");
});

test("a blob store out of reach is tried once", async (t) => {
  const { client, seen } = await api(t, { url: "http://127.0.0.1:9/bucket" });
  for (const expected of [1, 2]) {
    assert.deepEqual(await client.upload(FILE), { id: ID, present: false });
    assert.deepEqual(seen.map(([method]) => method), Array(expected).fill("POST"));
  }
});

test("an upload that is aborted on its way is not sent again", async (t) => {
  const { client, seen } = await api(t, { status: 200 });
  const stop = new AbortController();
  const onProgress = ({ doing }) => doing === "sending" && stop.abort();
  await assert.rejects(client.upload(FILE, { onProgress, signal: stop.signal }), (reason) => reason.name === "AbortError" && !(reason instanceof Refused));
  assert.deepEqual(seen, []);
});
