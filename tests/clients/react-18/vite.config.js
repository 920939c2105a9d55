import { fileURLToPath } from "node:url";
import example from "../../../examples/web-vite/vite.config.js";

const installed = (name) => fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));

/** As the example with Vite, with the React of this folder. */
export default {
  ...example,
  cacheDir: installed(".vite"),
  resolve: { alias: { react: installed("react"), "react-dom": installed("react-dom") } },
};
