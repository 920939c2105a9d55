// Builds the two pages into dist/. Everything they load is a file of ours under /static/: no other origin, no inline
// script, so that the api can send a strict Content-Security-Policy and a machine without internet works.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vite";

// Below this a compressed copy costs the reader more than it saves.
const WORTH_COMPRESSING_BYTES = 2048;

// The api has no business compressing the same megabytes for each visitor: it sends these copies.
const precompressed = {
  name: "precompressed",
  apply: "build",
  writeBundle({ dir }) {
    const folder = join(dir, "assets");
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      if (/\.(js|css)$/.test(name) && statSync(file).size >= WORTH_COMPRESSING_BYTES) {
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    }
  },
};

export default defineConfig({
  // Relative, because a proxy may serve the api under any path. The pages are at `./` and `./graphql`, their files in
  // `./static/`; the files name each other relative to themselves.
  base: "./",
  experimental: {
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `./static/${file}` : { relative: true }),
  },
  logLevel: "warn",
  worker: { format: "es" },
  plugins: [precompressed],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 8000,
    rollupOptions: {
      input: ["index.html", "graphiql.html"],
      // Hundreds of modules say "use client", which means nothing outside a server that renders.
      onwarn: (warning, warn) => warning.code === "MODULE_LEVEL_DIRECTIVE" || warn(warning),
    },
  },
});
