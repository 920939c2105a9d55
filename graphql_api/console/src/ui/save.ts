// Files that the page itself makes.

/** As long as a browser may take to begin with a large file. */
const BEGINS_MILLISECONDS = 60_000;

export function saveText(text: string | string[], file: string, mediaType = "text/plain"): void {
  const url = URL.createObjectURL(new Blob([text].flat(), { type: mediaType }));
  Object.assign(document.createElement("a"), { href: url, download: file }).click();
  // The URL keeps the whole text in memory until it is revoked.
  setTimeout(() => URL.revokeObjectURL(url), BEGINS_MILLISECONDS);
}
