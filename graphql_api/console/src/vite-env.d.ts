declare module "graphiql/setup-workers/vite";
