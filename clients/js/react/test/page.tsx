// A page with every hook, in StrictMode, for tests/whole_system/test_js_in_a_browser.py.
import { createClient } from "@dask-graphql/client";
import { DaskGraphQLProvider, useRun, useTask, useTasks, useUpload } from "@dask-graphql/react";
import { StrictMode, useState, version } from "react";
import { createRoot } from "react-dom/client";

const client = createClient({ url: "/graphql" });
Object.assign(window, { client, reactVersion: version });

function Task({ taskId }: { taskId: string | null }) {
  const { state, progress, output, error } = useTask<{ pi: number }>(taskId);
  return <li>{[state ?? "unknown", progress ?? "-", output ? "has output" : "-", error?.code ?? "-"].join(" ")}</li>;
}

function Page() {
  const [samples, setSamples] = useState("1000000");
  const [shown, setShown] = useState(true);
  const { run, reset, taskId, outcome, isRunning, output, error } = useRun<{ samples: number }, { pi: number }>("estimate_pi");
  const { tasks, refresh } = useTasks({ where: { names: ["estimate_pi"] }, first: 2 });
  const { upload, step, fileId, present, error: refusal } = useUpload();
  return (
    <>
      <input aria-label="samples" value={samples} onChange={(event) => setSamples(event.target.value)} />
      <button onClick={() => void run({ samples: Number(samples) })}>Run</button>
      <button onClick={() => void run({ samples: Number(samples) }, { recompute: true })}>Run again</button>
      <button onClick={reset}>Reset</button>
      <button onClick={() => setShown(!shown)}>Toggle</button>
      <button onClick={refresh}>Refresh</button>
      <input type="file" aria-label="file" onChange={({ target }) => {
        if (target.files?.[0]) void upload(target.files[0]);
        target.value = ""; // the same file may be chosen again
      }} />
      <p data-testid="run">{[outcome ?? "-", isRunning ? "running" : "idle", output ? "has output" : "-", error?.code ?? "-"].join(" ")}</p>
      <p data-testid="upload">{[step?.doing ?? "-", fileId ?? "-", present ? "present" : "-", refusal?.code ?? "-"].join(" ")}</p>
      <ul>{shown && [1, 2].map((key) => <Task key={key} taskId={taskId} />)}</ul>
      <ol>{tasks?.map((task) => <li key={task.taskId}>{task.state}</li>)}</ol>
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <DaskGraphQLProvider client={client}>
      <Page />
    </DaskGraphQLProvider>
  </StrictMode>,
);
