// Ids, hashes and documents: no api is needed.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import { canonicalJson, createClient, preImage, taskId } from "@dask-graphql/client";
import { inSlices } from "../dist/hash.js";
import { Sha256 } from "../dist/sha256.js";

const VECTORS = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url)));

for (const { why, name, version, input, salt, run, canonical, taskId: id } of VECTORS) {
  test(`the id is Python's: ${why}`, () => {
    assert.equal(canonicalJson(input), canonical);
    assert.equal(taskId(name, version, input, salt, run), id);
  });
}

test("the pre-image of the docs", () => {
  assert.equal(preImage({ name: "fibonacci", version: "1" }, { n: 90 }), '{"input":{"n":90},"task":"fibonacci","version":"1"}');
});

test("a bigint is a number up to 2^53 and a string beyond", () => {
  assert.equal(canonicalJson([2n ** 53n, 2n ** 53n + 1n, -(2n ** 70n)]), '[9007199254740992,"9007199254740993","-1180591620717411303424"]');
});

test("members that are undefined are left out, and dates are what JSON makes of them", () => {
  assert.equal(canonicalJson({ b: undefined, a: new Date(0) }), '{"a":"1970-01-01T00:00:00.000Z"}');
});

for (const value of [NaN, Infinity, () => 1, Symbol("x"), "\ud800", { "\udc00": 1 }]) {
  test(`JSON has no ${String(typeof value === "object" ? "lone surrogate in a name" : JSON.stringify(value) ?? typeof value)}`, () => {
    assert.throws(() => canonicalJson({ x: value }), TypeError);
  });
}

test("SHA-256 in pieces of every size is that of Node", async () => {
  const bytes = new Uint8Array(2000).map((_, index) => (index * 31) % 251);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 2000]) {
    for (const piece of [1, 7, 64, 100, 2000]) {
      const hash = new Sha256();
      for (let at = 0; at < length; at += piece) hash.update(bytes.subarray(at, Math.min(length, at + piece)));
      assert.equal(Buffer.from(hash.digest()).toString("hex"), createHash("sha256").update(bytes.subarray(0, length)).digest("hex"));
    }
  }
  const file = new Blob([new Uint8Array(2_500_000).fill(7)]);
  const told = [];
  const digest = await inSlices(file, (bytes) => told.push(bytes));
  assert.equal(Buffer.from(digest).toString("hex"), createHash("sha256").update(new Uint8Array(2_500_000).fill(7)).digest("hex"));
  assert.deepEqual(told, [1_000_000, 2_000_000, 2_500_000]);
});

test("a client can be made on the server that renders a page; its address must be absolute for requests", async () => {
  const client = createClient({ url: "/graphql", webSocketImpl: class {} });
  await assert.rejects(client.request("{ __typename }"), /absolute/);
  await assert.rejects(client.subscribe("subscription { x }").next(), /absolute/);
  await assert.rejects(client.upload(new Blob([])), /absolute/);
  await client.close();
});
