// GraphiQL on the page at /graphql.
import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { type DocumentNode, parse } from "graphql";
import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";
import { HTTP_URL, SOCKET_URL } from "../api/address.ts";
import { EXAMPLES } from "./examples.ts";
import { apiKey, authorization } from "../api/key.ts";
import { apply, preference } from "../app/preferences.ts";
import { keepFresh } from "../people/sign-in.ts";
import "../styles/tokens.css";
import "../styles/shell.css";
import "../styles/narrow.css";
import { Icon, type IconName } from "../ui/icon.tsx";
import "./graphiql.css";
import { linkedOperation } from "./link.ts";
import { OPERATIONS } from "./operations.tsx";
import { withRenewedToken } from "./renewed-token.ts";
import { storageWithoutHeaders } from "./storage.ts";

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

const STORAGE = storageWithoutHeaders(HEADERS);
const PLUGINS = [OPERATIONS, HISTORY_PLUGIN];
const FAVICON = document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href ?? "";
const PAGES: [hash: string, title: string, icon: IconName][] = [["#/tasks", "Tasks", "list"], ["#/types", "Task types", "types"], ["#/cluster", "Cluster", "cluster"]];

/** The bar of the console, with the way back to the page that a link was followed from. */
const Bar = () => (
  <header className="topbar">
    <a className="brand" href="./">
      <img className="mark" src={FAVICON} alt="" />
      <span className="name">dask-graphql</span>
    </a>
    <nav className="mainnav" aria-label="Pages">
      {PAGES.map(([hash, title, icon]) => (
        <a key={hash} href={`./${hash}`}>
          <Icon name={icon} />
          <span>{title}</span>
        </a>
      ))}
      <a href="graphql" aria-current="page" onClick={(event) => event.preventDefault()}>
        <Icon name="code" />
        <span>GraphiQL</span>
      </a>
    </nav>
    {back && <a className="back" href={`./${back}`}>Back to the console</a>}
  </header>
);

apply();
createRoot(document.getElementById("root")!).render(
  <>
    <Bar />
    <GraphiQL
      fetcher={fetcher}
      plugins={PLUGINS}
      forcedTheme={preference("theme")}
      defaultTabs={operation ? [{ ...operation, headers: HEADERS }, ...EXAMPLE_TABS] : EXAMPLE_TABS}
      {...(operation && { initialQuery: operation.query, initialVariables: operation.variables })}
      defaultHeaders={HEADERS}
      defaultEditorToolsVisibility={apiKey() ? "headers" : "variables"}
      isHeadersEditorEnabled
      shouldPersistHeaders={false}
      storage={STORAGE}
    />
  </>,
);
