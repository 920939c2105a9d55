// What the scripts of the clients share: how each is called and what it prints.
//   node CLIENT.mjs URL [TOKEN]       one JSON object on stdout: what the client saw
export const [url, token] = process.argv.slice(2);
export const socketUrl = url.replace(/^http/, "ws");

export const SUBMIT = `mutation Submit($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }`;
export const RESULT = `subscription Result($id: ID!) {
  taskResult(taskId: $id) { state result { ... on FibonacciResult { n value } } }
}`;
export const TYPES = `{ taskTypes { name } }`;

export const N = Math.floor(Math.random() * 1e9) % 20_000;

/** Prints what was seen, and ends. */
export function tell(seen) {
  console.log(JSON.stringify(seen));
  process.exit(0);
}

setTimeout(() => {
  console.error("nothing came in 60 s");
  process.exit(1);
}, 60_000).unref();
