// GraphiQL on the page at /graphql.
import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { type DocumentNode, parse } from "graphql";
import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";
import { HTTP_URL, SOCKET_URL } from "../api/address.ts";
import { EXAMPLES } from "./examples.ts";
import "./graphiql.css";
import { apiKey, authorization } from "../api/key.ts";
import { keepFresh } from "../people/sign-in.ts";
import { linkedOperation } from "./link.ts";
import { withRenewedToken } from "./renewed-token.ts";

// With the URL, not with our own client: the toolkit then sends the headers editor's headers in connection_init.
const send = createGraphiQLFetcher({ url: HTTP_URL, subscriptionUrl: SOCKET_URL });

// GraphiQL parses a document some time after its tab is opened; executed at once, it would send the last tab's operation.
const fetcher: Fetcher = (params, given) => {
  const headers = withRenewedToken(given?.headers);
  const options = { ...given, ...(headers && { headers }) };
  let documentAST: DocumentNode;
  try {
    documentAST = parse(params.query);
  } catch {
    return send(params, options); // the api reports the error
  }
  const names = documentAST.definitions.map((item) => (item.kind === "OperationDefinition" && item.name?.value) || null);
  const operationName = names.find((name) => name === params.operationName) ?? names[0] ?? null;
  return send({ ...params, operationName }, { ...options, documentAST });
};

// The key that was entered in the console in this tab; for this api only.
const HEADERS = apiKey() ? JSON.stringify(authorization(), null, 2) : "";

// An operation that a link brought. It is shown, and runs only if the reader runs it.
const { operation, back } = linkedOperation(location.hash);
// It becomes a tab; a reload must not bring another one.
history.replaceState(null, "", location.pathname + location.search);

const EXAMPLE_TABS = EXAMPLES.map(({ query, variables = "" }) => ({ query, variables, headers: HEADERS }));

// A session that has ended leaves requests without a token, and the api's refusal says what to do.
keepFresh(() => undefined);

createRoot(document.getElementById("root")!).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={operation ? [{ ...operation, headers: HEADERS }, ...EXAMPLE_TABS] : EXAMPLE_TABS}
    {...(operation && { initialQuery: operation.query, initialVariables: operation.variables })}
    defaultHeaders={HEADERS}
    defaultEditorToolsVisibility={apiKey() ? "headers" : "variables"}
    isHeadersEditorEnabled
    shouldPersistHeaders={false}
  >
    <GraphiQL.Logo>
      <a className="home" href={`./${back}`}>
        {back ? "Back to the console" : "dask-graphql"}
      </a>
    </GraphiQL.Logo>
  </GraphiQL>,
);
