// The public names of @dask-graphql/react.
export { DaskGraphQLProvider, type ProviderProps, useClient } from "./context.tsx";
export { type Run, useRun } from "./use-run.ts";
export { type TaskView, useTask } from "./use-task.ts";
export { type TaskList, useTasks } from "./use-tasks.ts";
export { type FileUpload, useUpload } from "./use-upload.ts";
