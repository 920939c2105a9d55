// graphql-ws through a restart of the api: a result that waits, then a lost socket, then the result.
//   prints `waiting` when it is subscribed
import { RESULT } from "./common.mjs";
import { socket } from "./socket.mjs";

let connections = 0;
socket.on("connected", () => {
  connections += 1;
  if (connections === 1) console.log("waiting");
});
const { value } = await socket.iterate({ query: RESULT, variables: { id: process.argv[3] } }).next();
console.log(JSON.stringify({ connections, state: value.data.taskResult.state }));
await socket.dispose();
process.exit(0);
