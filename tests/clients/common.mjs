// What the scripts of the clients share: how each is called and what it prints.
//   node CLIENT.mjs URL [TOKEN]       one JSON object on stdout: what the client saw
// A page that imports one (browser.html) finds the api at its own origin, and what was seen in `globalThis.seen`.
export const [url, token] = globalThis.process?.argv.slice(2) ?? [new URL("/graphql", location.href).href];
export const socketUrl = url.replace(/^http/, "ws");

// Node has a WebSocket from version 22 on.
globalThis.WebSocket ??= (await import("ws")).WebSocket;

export const SUBMIT = `mutation Submit($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }`;
export const RESULT = `subscription Result($id: ID!) {
  taskResult(taskId: $id) { state result { ... on FibonacciResult { n value } } }
}`;
export const TYPES = `{ taskTypes { name } }`;

export const N = Math.floor(Math.random() * 1e9) % 20_000;

/** Prints what was seen, and ends. */
export function tell(seen) {
  globalThis.seen = seen;
  globalThis.process?.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
}

if (globalThis.process) {
  setTimeout(() => {
    console.error("nothing came in 60 s");
    process.exit(1);
  }, 60_000).unref();
}
