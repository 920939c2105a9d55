import { createClient } from "@dask-graphql/client";
import { DaskGraphQLProvider } from "@dask-graphql/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Estimate } from "./estimate.tsx";

// The dev server passes /graphql on to the api (vite.config.js), so the page needs no CORS.
const client = createClient({ url: "/graphql" });

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <DaskGraphQLProvider client={client}>
      <Estimate />
    </DaskGraphQLProvider>
  </StrictMode>,
);
