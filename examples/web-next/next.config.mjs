// The api, which must trust this server: DASK_GRAPHQL_TRUSTED_PROXIES=127.0.0.1. `next build` fixes the address.
const api = process.env.API ?? "http://127.0.0.1:8000";
const paths = ["graphql", "blobs/:path*", "files/:path*", "tables/:path*", "arrays/:path*"];

export default {
  rewrites: async () => paths.map((path) => ({ source: `/${path}`, destination: `${api}/${path}` })),
  compress: false, // it would hold back event streams
  experimental: { proxyClientMaxBodySize: "100mb" }, // of an upload, which Next.js keeps in memory; without it 10 MB
  // This folder alone, although the repository has a lock file too.
  turbopack: { root: import.meta.dirname },
};
