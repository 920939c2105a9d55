// Conditions on the rows of a table.
import { type FormEvent, useState } from "react";
import { Icon } from "../ui/icon.tsx";
import { type Condition, OPERATORS } from "./rows.ts";

const needsValue = (operator: Condition["operator"]): boolean => operator !== "is null" && operator !== "is not null";

export const Conditions = ({ conditions, onChange }: { conditions: Condition[]; onChange(conditions: Condition[]): void }) =>
  conditions.map(({ column, operator, value }, index) => (
    <span className="chip" key={`${index} ${column}`}>
      {column} {operator} {needsValue(operator) && <b>{value}</b>}
      <button type="button" aria-label={`Remove the condition on ${column}`} onClick={() => onChange(conditions.filter((_, place) => place !== index))}><Icon name="x" /></button>
    </span>
  ));

export function ConditionForm({ columns, onAdd }: { columns: string[]; onAdd(condition: Condition): void }) {
  const [open, setOpen] = useState(false);
  const [column, setColumn] = useState(columns[0] ?? "");
  const [operator, setOperator] = useState<Condition["operator"]>("contains");
  const [value, setValue] = useState("");
  if (!open) return <button type="button" className="btn quiet slim" onClick={() => setOpen(true)}><Icon name="plus" />Add filter</button>;
  const add = (event: FormEvent) => {
    event.preventDefault();
    onAdd({ column, operator, value });
    setOpen(false);
    setValue("");
  };
  return (
    <form className="row conditionform" onSubmit={add} onKeyDown={(event) => event.key === "Escape" && setOpen(false)} aria-label="Filter">
      <select className="select narrow" aria-label="Column" autoFocus value={column} onChange={(event) => setColumn(event.target.value)}>
        {columns.map((name) => <option key={name}>{name}</option>)}
      </select>
      <select className="select narrow" aria-label="Condition" value={operator} onChange={(event) => setOperator(event.target.value as Condition["operator"])}>
        {OPERATORS.map((name) => <option key={name}>{name}</option>)}
      </select>
      {needsValue(operator) && <input className="input narrow" aria-label="Value" value={value} onChange={(event) => setValue(event.target.value)} />}
      <button type="submit" className="btn slim">Filter</button>
      <button type="button" className="btn icon quiet slim" aria-label="Close" onClick={() => setOpen(false)}><Icon name="x" /></button>
    </form>
  );
}
