"use client";
import { useRun } from "@dask-graphql/react";

/** Runs `estimate_pi` of examples/estimate_pi.py, with its progress. */
export function Estimate() {
  const { run, cancel, isRunning, state, progress, output, error } = useRun<{ samples: number }, { pi: number }>("estimate_pi");
  return (
    <form action={(form) => run({ samples: Number(form.get("samples")) })}>
      <label>
        Samples <input name="samples" type="number" min="1" defaultValue="20000000" required />
      </label>
      <button disabled={isRunning}>Estimate pi</button>
      {isRunning && <button type="button" onClick={cancel}>Cancel</button>}
      {isRunning && <p role="status">{state ?? "SENDING"} <progress value={progress ?? undefined} /></p>}
      {output && <output>pi is about {output.pi}</output>}
      {error && <p role="alert">{error.code}: {error.message}</p>}
    </form>
  );
}
