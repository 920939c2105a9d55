// What the workers cost, and which task types made them.
import { address } from "../app/route.ts";
import { dollars } from "../ui/format.ts";
import type { Cost } from "./operations.ts";

const TYPES = 5;

export function CostCard({ cost }: { cost: Cost }) {
  // Days and months are those of UTC, as in the bill of a cloud.
  const month = new Date().toLocaleDateString(undefined, { month: "long", timeZone: "UTC" });
  const shown = cost.byType.slice(0, TYPES);
  const rest = cost.byType.slice(TYPES);
  const others = rest.reduce((sum, { month }) => sum + month, 0);
  const most = Math.max(...shown.map(({ month }) => month), others);
  return (
    <section className="card" aria-labelledby="cost">
      <header>
        <h2 id="cost">Cost</h2>
        <span className="end muted small">By the prices in the settings; days of UTC</span>
      </header>
      <div className="body stack">
        <dl className="facts money">
          <dt>Today</dt><dd className="strong">{dollars(cost.today)}</dd>
          <dt>Yesterday</dt><dd>{dollars(cost.yesterday)}</dd>
          <dt>{month} so far</dt><dd>{dollars(cost.thisMonth)}</dd>
          {cost.monthAtThisRate != null && <><dt>{month} at this rate</dt><dd>{dollars(cost.monthAtThisRate)}</dd></>}
        </dl>
        {shown.length > 0 && (
          <div className="stack bars">
            <h3>This month by task type</h3>
            {shown.map(({ name, month }) => (
              <div key={name} className="hbar">
                <a className="clip strongname" href={address(["types", name])} title={name}>{name}</a>
                <span className="b" style={{ width: `${(100 * month) / most}%` }} />
                <span className="num">{dollars(month)}</span>
              </div>
            ))}
            {rest.length > 0 && (
              <div className="hbar">
                <span className="clip">{rest.length} others</span>
                <span className="b" style={{ width: `${(100 * others) / most}%` }} />
                <span className="num">{dollars(others)}</span>
              </div>
            )}
          </div>
        )}
      </div>
    </section>
  );
}
