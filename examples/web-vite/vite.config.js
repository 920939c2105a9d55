import { defineConfig } from "vite";

// The api; `make run` starts one here. Not by its shorthand "/graphql": "http://...", which changes the Host header: the
// api compares it with the page's Origin.
const api = { target: process.env.API ?? "http://127.0.0.1:8000", changeOrigin: false, ws: true };

export default defineConfig({ server: { proxy: { "/graphql": api, "/files": api, "/blobs": api } } });
