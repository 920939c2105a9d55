// GraphiQL on the page at /graphql.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";
import { HTTP_URL, SOCKET_URL } from "./api.ts";
import { EXAMPLES } from "./examples.ts";
import "./graphiql.css";

// By the URL and not by a client of ours: the toolkit then sends the headers of the headers editor with connection_init.
const fetcher = createGraphiQLFetcher({ url: HTTP_URL, subscriptionUrl: SOCKET_URL });

createRoot(document.getElementById("root")!).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={EXAMPLES.map(({ query, variables = "" }) => ({ query, variables }))}
    defaultEditorToolsVisibility="variables"
    isHeadersEditorEnabled
    shouldPersistHeaders={false}
  >
    <GraphiQL.Logo>
      <a className="home" href="/">
        dask-graphql
      </a>
    </GraphiQL.Logo>
  </GraphiQL>,
);
