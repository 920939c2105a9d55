/** Where the api is: the folder of this page, at the page's own origin and under any path that a proxy gives it. */
export const API_URL = new URL("./", location.href).href;

export const HTTP_URL = `${API_URL}graphql`;

export const SOCKET_URL = HTTP_URL.replace(/^http/, "ws");
