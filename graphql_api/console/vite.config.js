// Builds the two pages into dist/. Everything they load is a file of ours under /static/: no other origin, no inline
// script, so that the api can send a strict Content-Security-Policy and a machine without internet works.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig } from "vite";

// Below this a compressed copy costs the reader more than it saves.
const WORTH_COMPRESSING_BYTES = 2048;

// Larger files are the editor of GraphiQL: compressed well, they would take most of a build's time and double its size.
const MOST_BROTLI_BYTES = 256 * 1024;

// The api has no business compressing the same megabytes for each visitor: it sends these copies.
const precompressed = {
  name: "precompressed",
  apply: "build",
  writeBundle({ dir }) {
    const folder = join(dir, "assets");
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      const { size } = statSync(file);
      if (!/\.(js|css)$/.test(name) || size < WORTH_COMPRESSING_BYTES) continue;
      const content = readFileSync(file);
      writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
      if (size <= MOST_BROTLI_BYTES) writeFileSync(`${file}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    }
  },
};

// What is below a style sheet waits for it. At the end of the page nothing does: the frame that the HTML has is seen
// at once. The modules still run after the style sheet, as it stands in the document that they wait for.
const styleLast = {
  name: "style-last",
  apply: "build",
  transformIndexHtml: {
    order: "post",
    handler(html) {
      const links = html.match(/^ *<link rel="stylesheet".*\n/gm) ?? [];
      return links.reduce((page, link) => page.replace(link, ""), html).replace("  </body>", `${links.join("")}  </body>`);
    },
  },
};

// Modules that several pages use, in one file: a dozen small ones would each cost a slow network a round trip.
const SHARED = [
  /\/clients\/js\//, /\/node_modules\/graphql-ws\//, /\/src\/api\//, /\/src\/ui\/(?!chart|plot|pager|download|marked|save)/, /\/src\/people\/(sign-in|operations)/,
  /\/src\/app\/(keyboard|route|session|preferences)/, /\/src\/cluster\/watch/, /\/src\/tasks\/(picker|filters)/,
];

export default defineConfig({
  // Relative, because a proxy may serve the api under any path. The pages are at `./` and `./graphql`, their files in
  // `./static/`; the files name each other relative to themselves.
  base: "./",
  experimental: {
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `./static/${file}` : { relative: true }),
  },
  logLevel: "warn",
  worker: { format: "es" },
  plugins: [precompressed, styleLast],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 8000,
    rollupOptions: {
      input: ["index.html", "graphiql.html"],
      output: {
        codeSplitting: { groups: [{ name: "shared", test: (id) => SHARED.some((place) => place.test(id)) && !id.endsWith(".css") }] },
      },
      // Hundreds of modules say "use client", which means nothing outside a server that renders.
      onwarn: (warning, warn) => warning.code === "MODULE_LEVEL_DIRECTIVE" || warn(warning),
    },
  },
});
