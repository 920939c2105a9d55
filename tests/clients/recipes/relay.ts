import assert from "node:assert/strict";
import { ConnectionHandler, ROOT_ID, commitMutation, createOperationDescriptor, fetchQuery, getRequest, requestSubscription } from "relay-runtime";
import { asked } from "./connection";
import { environment } from "./environment";
import events from "./__generated__/TaskListEventsSubscription.graphql";
import page from "./__generated__/TaskListPageQuery.graphql";
import run from "./__generated__/TaskListRunSubscription.graphql";
import submit from "./__generated__/TaskListSubmitMutation.graphql";
import row from "./__generated__/TaskListTaskQuery.graphql";

const follow = (subscription: any, variables: any) =>
  new Promise<void>((onCompleted, onError) =>
    void requestSubscription(environment, { subscription, variables, onCompleted: () => onCompleted(), onError }));

async function main() {
  await fetchQuery(environment, page as any, { first: 2 }).toPromise();
  // What is shown stays in the store.
  environment.retain(createOperationDescriptor(getRequest(page as any), { first: 2 }));
  const list = ConnectionHandler.getConnectionID(ROOT_ID, "TaskList_tasks", {});
  const shown = () => {
    const records: any = environment.getStore().getSource().toJSON();
    return records[list].edges.__refs.map((edge: string) => {
      const task = records[records[edge].node.__ref];
      return [Number(task.__id), task.state];
    });
  };
  assert.deepEqual(shown(), [[3, "QUEUED"], [2, "QUEUED"]]);

  const submitted: any = await new Promise((onCompleted, onError) =>
    commitMutation(environment, { mutation: submit as any, variables: { n: 10, connections: [list] }, onCompleted, onError }));
  assert.equal(submitted.submitFibonacci.outcome, "NEW");
  assert.deepEqual(shown()[0], [10, "QUEUED"]);
  const id = "10".padStart(32, "0");
  const requests = asked.length;
  await follow(events, { id });
  assert.deepEqual(shown()[0], [10, "SUCCEEDED"]);
  assert.deepEqual(asked.slice(requests), ["TaskListEventsSubscription"]);

  await fetchQuery(environment, row as any, { id }).toPromise(); // node(id:)
  const records: any = environment.getStore().getSource().toJSON();
  assert.deepEqual(records[id].output, { n: 10, value: "55" });
  await follow(run, { n: 11 });
  assert.equal((environment.getStore().getSource().toJSON() as any)["11".padStart(32, "0")].state, "SUCCEEDED");
}
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
