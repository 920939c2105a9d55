// The public names of @dask-graphql/client.
export { canonicalJson } from "./canonical-json.ts";
export { submissionOf } from "./catalogue.ts";
export type { Catalogue, Member, TaskType, UsedType } from "./catalogue.ts";
export { Client, createClient } from "./client.ts";
export type {
  AnyTaskTypes, Cancellable, ClientOptions, FollowOptions, RunOptions, TaskPage, TaskProgress, TaskQuery, TaskTypes,
} from "./client.ts";
export type { ConnectionState } from "./connection.ts";
export type { GetToken, Token } from "./credential.ts";
export type { TypedDocument } from "./document.ts";
export type { ErrorCode, ErrorExtensions, OtherCode, TaskErrorCode } from "./error-codes.ts";
export { DaskGraphQLError, Refused, TaskFailed, Unreachable } from "./errors.ts";
export { isFinal } from "./records.ts";
export type {
  FinalState, LogLine, Submission, SubmissionOutcome, SubmitOptions, TaskChange, TaskEvent, TaskFailure, TaskFilter, TaskRecord, TaskState, TaskSummary, Waiting,
} from "./records.ts";
export { hashId, preImage, taskId } from "./task-id.ts";
export type { Uploaded, UploadOptions, UploadStep } from "./upload.ts";
