// The ids of tasks, computed without the api.
//   node task-id.mjs      reads a JSON list of [task, version, input] from stdin; prints the list of their ids
import { text } from "node:stream/consumers";
// [docs]
async function taskId(task, version, input) {
  const bytes = new TextEncoder().encode(canonicalJson({ input, task, version }));
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(hash).slice(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// RFC 8785. JSON.stringify of a whole object does not do: it writes the name "9" before "10", whatever their order is.
function canonicalJson(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name])}`);
  return `{${members.join(",")}}`;
}

await taskId("fibonacci", "1", { n: 90 }); // b9a7c7263c0332d12e52f09809754586
// [/docs]

const ids = JSON.parse(await text(process.stdin)).map(([task, version, input]) => taskId(task, version, input));
console.log(JSON.stringify(await Promise.all(ids)));
