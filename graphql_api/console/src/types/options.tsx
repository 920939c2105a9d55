// How a task is run, beside its input: folded, as most runs need none of it.
import { type Member } from "../api/task-types.ts";
import { CopyIcon } from "../ui/copy.tsx";
import type { Drafts, Problems } from "./draft.ts";
import { Field } from "./fields.tsx";

const option = (name: string, graphqlType: string, description: string): Member => ({
  name, graphqlName: name, graphqlType, description, hasDefault: true, default: null,
});

/** Members of `SubmitOptions`; paths of their problems begin with `options.`, as in a refusal. */
export const OPTIONS: Member[] = [
  option("priority", "Int", "From -100 to 100. Tasks with a higher priority run first."),
  option("notBefore", "DateTime", "It waits until then."),
  option("startBefore", "DateTime", "It fails if no worker has started it by then."),
  option("tags", "[String!]", "By which people find it, at most 8."),
  option("runKey", "String", "Runs it once for this text, whatever results of the same input are kept."),
  option("ttlSeconds", "Float", ""),
];

const LABELS: Record<string, string> = { priority: "Priority", notBefore: "Not before", startBefore: "Start before", tags: "Tags", runKey: "Run key" };
const KEEP: [seconds: string, words: string][] = [
  ["", "as long as usual"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"],
];

interface OptionsProps {
  drafts: Drafts;
  problems: Problems;
  /** The id that the task will have; otherwise why nobody knows it yet. */
  taskId: { id: string } | { why: string };
  onChange(drafts: Drafts): void;
}

export function Options({ drafts, problems, taskId, onChange }: OptionsProps) {
  return (
    <details className="options">
      <summary>Options: priority, start time, tags</summary>
      <div className="fields">
        {OPTIONS.filter(({ name }) => name in LABELS).map(({ name, graphqlType, description }) => (
          <Field
            key={name} types={[]} problems={problems} path={`options.${name}`} label={LABELS[name]!}
            graphqlType={graphqlType} description={description} draft={drafts[name] ?? (graphqlType.startsWith("[") ? [] : "")}
            onChange={(draft) => onChange({ ...drafts, [name]: draft })}
          />
        ))}
        <div className="field">
          <label htmlFor="keep-for">Keep the result</label>
          <select id="keep-for" className="select" value={String(drafts["ttlSeconds"] ?? "")} onChange={(e) => onChange({ ...drafts, ttlSeconds: e.target.value })}>
            {KEEP.map(([seconds, words]) => <option key={seconds} value={seconds}>{words}</option>)}
          </select>
        </div>
        <div className="field wide">
          <span className="label">Task id</span>
          {"id" in taskId ? (
            <span className="row small">
              <code data-testid="expected-id" className="muted">{taskId.id}</code>
              <CopyIcon text={() => taskId.id} what="the task id" />
            </span>
          ) : (
            <span className="help">{taskId.why}</span>
          )}
        </div>
      </div>
    </details>
  );
}
