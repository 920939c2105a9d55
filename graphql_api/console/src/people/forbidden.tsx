// Shown in place of what a caller may not see: which scope it needs, and which ones the caller has.
import { useSession } from "../app/session.ts";
import { Empty } from "../ui/banner.tsx";

export function Forbidden({ what, scope }: { what: string; scope: string }) {
  const { caller } = useSession().catalogue;
  const has = caller.scopes.length === 0 ? "none" : caller.scopes.join(", ").toLowerCase();
  return (
    <section className="card">
      <Empty icon="key" title={`You cannot see ${what}`} actions={<a className="btn" href="#/tasks">All tasks</a>}>
        It needs the scope <code>{scope}</code>. {caller.title} has: {has}. Ask whoever runs this system.
      </Empty>
    </section>
  );
}
