// Files that the page itself makes.

export function saveText(text: string, file: string, mediaType = "text/plain"): void {
  const url = URL.createObjectURL(new Blob([text], { type: mediaType }));
  Object.assign(document.createElement("a"), { href: url, download: file }).click();
  // The click has started the download; the URL keeps the whole text in memory until it is revoked.
  setTimeout(() => URL.revokeObjectURL(url));
}
