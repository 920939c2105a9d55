// Links to an operation in GraphiQL, `graphql#query=…&variables=…&back=…`, and what such a link says.

/** Servers never see what follows `#`, but people paste links into chats and mails, which cut longer ones. */
const LONGEST = 8000;

export interface LinkedOperation {
  query: string;
  /** As JSON. */
  variables: string;
}

/**
 * The address of GraphiQL with an operation in a tab of its own, which the reader may run. From there a link leads back
 * to this page. Variables that would make the address too long are left out; so is, then, the operation.
 */
export function graphiqlLink(query: string, variables: Record<string, unknown> = {}): string {
  const given = Object.keys(variables).length > 0 ? { variables: JSON.stringify(variables, null, 2) } : {};
  const back = location.hash ? { back: location.hash } : {};
  const links = [{ query, ...given, ...back }, { query, ...back }, back].map(
    (parts) => `graphql#${new URLSearchParams(parts as Record<string, string>).toString()}`,
  );
  return links.find((link) => link.length <= LONGEST) ?? "graphql";
}

/** What a link to GraphiQL says; undefined without an operation. The address of the console is one of its pages or empty. */
export function linkedOperation(hash: string): { operation: LinkedOperation | undefined; back: string } {
  const parts = new URLSearchParams(hash.length <= LONGEST ? hash.replace(/^#/, "") : "");
  const query = parts.get("query");
  const back = parts.get("back") ?? "";
  return {
    operation: query === null ? undefined : { query, variables: parts.get("variables") ?? "" },
    back: back.startsWith("#/") ? back : "",
  };
}
