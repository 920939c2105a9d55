// Prints what the packages cost a page: minified and compressed with gzip, in bytes, as one JSON object.
//   node clients/js/sizes.mjs
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const entry = (name) => fileURLToPath(new URL(`${name}/dist/index.js`, import.meta.url));

async function size(name, external) {
  const bundle = await rolldown({ input: entry(name), external, platform: "browser" });
  const { output } = await bundle.generate({ format: "es", minify: true });
  await bundle.close();
  return output.reduce((sum, { code }) => sum + (code ? gzipSync(code, { level: 9 }).length : 0), 0);
}

console.log(JSON.stringify({
  "@dask-graphql/client": await size("client", ["graphql-ws/client"]),
  "@dask-graphql/client with graphql-ws": await size("client", []),
  "@dask-graphql/react": await size("react", ["react", "@dask-graphql/client"]),
}));
