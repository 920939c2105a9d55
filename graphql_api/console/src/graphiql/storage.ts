// What GraphiQL keeps on this device: its tabs and the history, without headers. They have the key of this session, which
// ends with the tab or when the person signs out.

/** Where the history is; the tabs are written without headers (`shouldPersistHeaders`). */
const HISTORY = ["graphiql:queries", "graphiql:favorites"];

const withHeaders = (text: string, headers: string | null): string =>
  JSON.stringify(JSON.parse(text, (name, value: unknown) => (name === "headers" ? headers : value)));

/** @param headers what an operation of the history gets back: those of a new tab. */
export function storageWithoutHeaders(headers: string): Storage {
  // Earlier versions have kept them.
  for (const name of HISTORY) {
    const text = localStorage.getItem(name);
    if (text !== null) localStorage.setItem(name, withHeaders(text, null));
  }
  return {
    getItem(name) {
      const text = localStorage.getItem(name);
      return text !== null && HISTORY.includes(name) ? withHeaders(text, headers) : text;
    },
    setItem: (name, text) => localStorage.setItem(name, HISTORY.includes(name) ? withHeaders(text, null) : text),
    removeItem: (name) => localStorage.removeItem(name),
    clear: forgetGraphiql,
    key: (index) => localStorage.key(index),
    get length() {
      return localStorage.length;
    },
  };
}

export function forgetGraphiql(): void {
  for (const name of Object.keys(localStorage)) if (name.startsWith("graphiql:")) localStorage.removeItem(name);
}
