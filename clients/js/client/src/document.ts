// GraphQL documents as the libraries and generators that type them represent them.

/** The types of a document's result and variables, as GraphQL Code Generator and gql.tada declare them. */
export interface TypedDocument<Data, Variables> {
  __apiType?: (variables: Variables) => Data;
}

/** A parsed document that still has its text (`gql`, `graphql` of the client preset, gql.tada). */
interface Parsed {
  kind: "Document";
  loc?: { source: { body: string } } | undefined;
}

/** The text of a document, or a document: one with its text (`TypedDocumentString`), or a parsed one. */
export type DocumentLike<Data = unknown, Variables = Record<string, unknown>> = string | ((object | Parsed) & TypedDocument<Data, Variables>);

/** @throws TypeError the document was parsed without its location, so its text is lost. */
export function textOf(document: DocumentLike<never, never> | DocumentLike): string {
  if (typeof document === "string") return document;
  if ("kind" in document && document.kind === "Document") {
    const body = (document as Parsed).loc?.source.body;
    if (body === undefined) throw new TypeError("the document was parsed without its text: pass the text itself, or print(document) of the package graphql");
    return body;
  }
  return String(document);
}
