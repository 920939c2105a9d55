// The first three steps, in place of an empty list, until there has been a task.
import { useState } from "react";
import { client, refusal } from "../api/client.ts";
import { go } from "../app/route.ts";
import { useMay, useSession } from "../app/session.ts";
import type { TaskType } from "../api/task-types.ts";
import { counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toasts.tsx";

const PLACE = "dask-graphql.started";

export const hasStarted = (): boolean => localStorage.getItem(PLACE) !== null;
export const started = (): void => {
  if (!hasStarted()) localStorage.setItem(PLACE, "1");
};

/** An example that says something, if it is there; otherwise one that needs no input; otherwise any. */
function exampleOf(types: TaskType[]): { type: TaskType; input?: Record<string, unknown>; label: string } | undefined {
  const named = (name: string) => types.find((type) => type.name === name);
  const mandelbrot = named("mandelbrot");
  if (mandelbrot) return { type: mandelbrot, input: {}, label: "Draw the Mandelbrot set" };
  const fibonacci = named("fibonacci");
  if (fibonacci) return { type: fibonacci, input: { n: 1000 }, label: "Compute a Fibonacci number" };
  const free = types.find((type) => type.arguments.every(({ required }) => !required));
  return free ? { type: free, input: {}, label: `Run ${free.name}` } : types[0] && { type: types[0], label: `Open ${types[0].name}` };
}

export function Tour({ onSkip }: { onSkip(): void }) {
  const { catalogue, watch } = useSession();
  const maySubmit = useMay("SUBMIT");
  const [busy, setBusy] = useState(false);
  const workers = watch.cluster?.workers.filter(({ state }) => state === "RUNNING").length ?? 0;
  const example = exampleOf(catalogue.taskTypes);
  const runExample = async () => {
    if (!example?.input) return go(`#/types/${example?.type.name ?? ""}`);
    setBusy(true);
    try {
      const { taskId } = await client.submit(example.type.name, example.input);
      go(`#/tasks/${taskId}`);
    } catch (reason) {
      toast({ kind: "failed", text: refusal(reason).message });
      setBusy(false);
    }
  };
  return (
    <section className="card" aria-labelledby="tour-title">
      <header>
        <h2 id="tour-title">Start here</h2>
        <button type="button" className="btn quiet slim end" onClick={onSkip}>Skip</button>
      </header>
      <ol className="steps">
        <li className={workers > 0 ? "done" : undefined}>
          <span className="row">
            <span className="no">{workers > 0 ? <Icon name="check" /> : "1"}</span>
            <h3>Connect a worker{workers > 0 && <span className="visually-hidden"> (done)</span>}</h3>
          </span>
          <p className="muted">{workers > 0 ? `${counted(workers, "worker")} ${workers === 1 ? "is" : "are"} connected. Add more with one command, on any machine.` : "Workers run the tasks. Start one with this command, on any machine that reaches the scheduler."}</p>
          <span />
          <span><code>dask-graphql worker</code></span>
        </li>
        <li>
          <span className="row"><span className="no">2</span><h3>Run a task</h3></span>
          <p className="muted">Start with an example, or with one of your own functions.</p>
          <span />
          <span className="row">
            {example && (
              <button type="button" className="btn primary" disabled={busy || !maySubmit} title={maySubmit ? undefined : "Your key does not allow this. An admin can add the scope SUBMIT."} onClick={() => void runExample()}>
                <Icon name="play" />{example.label}
              </button>
            )}
            <a href="#/types">All {counted(catalogue.taskTypes.length, "task type")}</a>
          </span>
        </li>
        <li>
          <span className="row"><span className="no">3</span><h3>Use it from code</h3></span>
          <p className="muted">The page of a task has the same run as GraphQL, curl, Python and TypeScript.</p>
          <span />
          <span><a href="graphql">Open GraphiQL</a></span>
        </li>
      </ol>
    </section>
  );
}
