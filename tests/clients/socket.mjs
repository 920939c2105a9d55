// The WebSocket of graphql-ws, which the clients of Apollo and urql use too.
import { socketUrl, token } from "./common.mjs";
// [docs]
import { createClient } from "graphql-ws";

export const socket = createClient({
  url: socketUrl, // wss://api.example.com/graphql
  connectionParams: () => (token ? { authorization: `Bearer ${token}` } : null), // may be async: called for each connection
  // A task continues without its socket, so its result is there after any pause.
  retryAttempts: Infinity,
  retryWait: (retries) => new Promise((done) => setTimeout(done, Math.random() * Math.min(2 ** retries, 20) * 1000)),
  shouldRetry: (reason) => reason?.code !== 4403, // 4403: the credential is not valid, and will not be next time
  keepAlive: 20_000,
});
// [/docs]
