// What the console decides without a browser: stacks, lists of tasks, filters, searches, tables.
import assert from "node:assert/strict";
import test from "node:test";

const SRC = "../../../graphql_api/console/src";
globalThis.localStorage = { getItem: () => null, setItem() {} };
globalThis.location = { hash: "", href: "http://console/", origin: "http://console" };
globalThis.document = { baseURI: "http://console/" };

const { grouped, raisedIn } = await import(`${SRC}/task/stack.ts`);
const { groupOf } = await import(`${SRC}/task/same-error.ts`);
const { EMPTY, detail, inputText, settled, withChanges, withPage, withStart } = await import(`${SRC}/tasks/rows.ts`);
const { addressOf, readFilters, whereOf } = await import(`${SRC}/tasks/filters.ts`);
const { inputTexts } = await import(`${SRC}/task/siblings.ts`);
const { definitionOf, planOf, planProblems, secondsOf, spanOf } = await import(`${SRC}/schedules/plan.ts`);
const { pathText, searchJson } = await import(`${SRC}/results/json-search.ts`);
const { UnannouncedEnds } = await import(`${SRC}/app/unannounced-ends.ts`);
const { barsOf, filtered, sorted, statisticsOf } = await import(`${SRC}/results/rows.ts`);

const TRACEBACK = `Traceback (most recent call last):
  File "/app/churn/features.py", line 7, in load
    return rows[key]
           ~~~~^^^^^
KeyError: 'store'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/dask/core.py", line 90, in run
    return task()
  File "/usr/lib/python3.12/functools.py", line 10, in call
    return f()
  File "/app/churn/train.py", line 31, in train
    load(
        "store")
ValueError: no rows
of this store
`;

test("a traceback is its exceptions, the last one and where it was raised first", () => {
  const [raised, cause, ...others] = raisedIn(TRACEBACK);
  assert.deepEqual(others, []);
  assert.equal(raised.message, "ValueError: no rows\nof this store");
  assert.deepEqual(raised.frames.map(({ function: name, file, line, library }) => [name, file, line, library]), [
    ["train", "churn/train.py", 31, undefined], ["call", "python3.12/functools.py", 10, "Python"], ["run", "dask/core.py", 90, "dask"],
  ]);
  assert.equal(raised.frames[0].source, 'load(\n    "store")');
  assert.equal(cause.message, "KeyError: 'store'");
  assert.equal(cause.frames[0].marks.trim(), "~~~~^^^^^");
  assert.deepEqual(grouped(raised.frames).map((group) => group.length), [1, 2]);
});

test("a text without frames is no stack", () => {
  assert.deepEqual(raisedIn("it failed"), []);
});

test("frames that Python leaves out hide none of those after them", () => {
  const lines = ['  File "/app/a.py", line 2, in deep', "    deep()", "  [Previous line repeated 995 more times]", '  File "/app/a.py", line 1, in last', "    raise it"];
  const [{ frames, message }] = raisedIn(`Traceback (most recent call last):\n${lines.join("\n")}\nRecursionError: too deep\n`);
  assert.deepEqual(frames.map(({ source }) => source), ["raise it", "deep()"]);
  assert.equal(message, "RecursionError: too deep");
});

test("an error belongs to the group whose message differs in numbers alone", () => {
  const groups = [{ message: "till 7 is open", count: 1 }, { message: "till 12 of store 0xff is empty", count: 14 }];
  assert.equal(groupOf("till 3 of store 0x10 is empty\nsecond line", groups).count, 14);
  assert.equal(groupOf("till of store is empty", groups), undefined);
});

test("siblings of one type are told apart by the arguments in which they differ", () => {
  const task = (taskId, name, input) => ({ taskId, name, input });
  const texts = inputTexts([
    task("a".repeat(32), "fit", { fold: 1, rows: 90 }), task("b".repeat(32), "fit", { fold: 2, rows: 90 }),
    task("c".repeat(32), "join", { rows: 90 }), task("d".repeat(32), "clock", {}),
  ]);
  assert.deepEqual([...texts.values()], ["fold: 1", "fold: 2", "rows: 90", "dddddddd"]);
});

const row = (id, at, more = {}) => ({ taskId: id, submitted: at, seq: 1, state: "QUEUED", left: false, expiresAt: null, startedAt: null, finishedAt: null, progress: null, ...more });
const change = (one, matches = true) => ({ taskId: one.taskId, row: one, matches });
const ids = ({ shown }) => shown.map(({ taskId }) => taskId);

test("a new task waits until rows may move, and then stands in its place", () => {
  const rows = withPage(EMPTY, [row("c", 3), row("a", 1)]);
  const changed = withChanges(rows, [change(row("d", 4)), change(row("b", 2))], true, true);
  assert.deepEqual(ids(changed), ["c", "a"]);
  assert.deepEqual(ids(settled(changed, true)), ["d", "c", "b", "a"]);
});

test("a task beyond what is loaded is left to the next page", () => {
  const rows = withPage(EMPTY, [row("c", 3), row("b", 2)]);
  assert.equal(withChanges(rows, [change(row("a", 1))], true, false).waiting.size, 0);
});

test("a task that leaves the filter stays in its row until rows may move", () => {
  const rows = withPage(EMPTY, [row("b", 2), row("a", 1)]);
  const changed = withChanges(rows, [change(row("b", 2, { seq: 2, state: "RUNNING" }), false)], true, true);
  assert.deepEqual(changed.shown.map(({ state, left }) => [state, left]), [["RUNNING", true], ["QUEUED", false]]);
  assert.deepEqual(ids(settled(changed, true)), ["a"]);
});

test("a change that was overtaken by a later one does not bring the earlier state back", () => {
  const rows = withPage(EMPTY, [row("a", 1, { seq: 3, state: "SUCCEEDED" })]);
  assert.equal(withChanges(rows, [change(row("a", 1, { seq: 2, state: "RUNNING" }))], true, true).shown[0].state, "SUCCEEDED");
});

test("a list that is read again keeps what is below its first page", () => {
  const rows = withPage(EMPTY, [row("c", 3), row("b", 2), row("a", 1)]);
  const again = withStart(rows, [row("d", 4), row("c", 3)], true, false);
  assert.deepEqual([ids(again.rows), again.joined], [["d", "c", "b", "a"], true]);
  const apart = withStart(rows, [row("z", 9), row("y", 8)], true, false);
  assert.deepEqual([ids(apart.rows), apart.joined], [["z", "y"], false]);
});

test("an input is a line in the order and with the names of the form", () => {
  assert.equal(inputText({ days: 28, store_id: "DE" }, [["store_id", "storeId"], ["days", "days"]]), 'storeId: "DE", days: 28');
  assert.equal(inputText({ text: "x".repeat(500) }, []).length, 241);
});

test("a failed task says its exception, and a code of the platform in words", () => {
  const failed = (code, type = null) => detail(row("a", 1, { state: "FAILED", error: { code, type, message: "m" } }), "");
  assert.deepEqual([failed("TASK_FAILED", "KeyError"), failed("OUT_OF_MEMORY"), failed("NO_MONEY")], ["KeyError", "Out of memory", "NO_MONEY"]);
});

test("filters are an address and back, and times of the address are those of the api", () => {
  const text = "state=running,failed&type=a,b&ended=1h&longer=2.5&q=nan&sort=-duration";
  const filters = readFilters(new URLSearchParams(text));
  assert.deepEqual(new URLSearchParams(addressOf(filters).split("?")[1]), new URLSearchParams(text));
  assert.deepEqual(whereOf(filters, "me", Date.parse("2026-01-31T12:00:00Z")), {
    states: ["RUNNING", "FAILED"], names: ["a", "b"], finishedAfter: "2026-01-31T11:00:00.000Z", minRunSeconds: 2.5, text: "nan",
  });
});

test("a search of JSON finds keys and values, in the order of the text, with paths", () => {
  const { found, more } = searchJson({ b: [{ name: "Berlin" }], berlin: { "a b": null }, n: 7 }, "berlin");
  assert.deepEqual([found.map(({ path }) => pathText(path)), more], [["b[0].name", "berlin"], false]);
  assert.equal(pathText(["a b", 0, "c"]), '["a b"][0].c');
  const many = searchJson(Array.from({ length: 300 }, () => "x"), "x");
  assert.deepEqual([many.found.length, many.more], [100, true]);
});

test("rows of a table are filtered and sorted by what their values mean, nulls last", () => {
  const rows = [{ n: 10 }, { n: null }, { n: 9 }, { n: "11" }];
  assert.deepEqual(sorted(rows, { column: "n", descending: false }).map(({ n }) => n), [9, 10, "11", null]);
  assert.deepEqual(sorted(rows, { column: "n", descending: true }).at(-1).n, null);
  assert.deepEqual(filtered(rows, [{ column: "n", operator: "≥", value: "10" }]).map(({ n }) => n), [10, "11"]);
  assert.deepEqual(filtered(rows, [{ column: "n", operator: "is null", value: "" }]), [{ n: null }]);
});

test("a column's histogram counts every number, and its figures are right", () => {
  const bars = barsOf([0, 5, 10, null], true);
  assert.equal(bars.reduce((sum, { count }) => sum + count, 0), 3);
  assert.deepEqual(barsOf(["a", "b", "a"], false), [{ label: "a", count: 2 }, { label: "b", count: 1 }]);
  assert.deepEqual(statisticsOf([3, 1, 2, 4]).map(([, value]) => value), [1, 2.5, 2.5, 4, 10]);
});

test("a schedule that is opened and saved stays as it was", () => {
  const stored = {
    name: "nightly", task: "etl", input: { day: 1 }, cron: null, everySeconds: 5400, timeZone: "UTC", overlap: "ALLOW", catchUpSeconds: 0, priority: -3,
    tags: ["a"], ttlSeconds: 86400,
  };
  const plan = planOf(stored, "", "Europe/Berlin");
  const { name, ...wanted } = stored;
  assert.deepEqual(definitionOf(plan, { day: 1 }, { priority: -3, tags: ["a"], ttlSeconds: 86400 }), wanted);
  assert.deepEqual([spanOf(5400), spanOf(7200), spanOf(0), secondsOf({ amount: "1.5", unit: 60 })], [{ amount: "90", unit: 60 }, { amount: "2", unit: 3600 }, { amount: "0", unit: 1 }, 90]);
  assert.deepEqual(planProblems({ ...planOf(undefined, "etl", "UTC"), catchUp: { amount: " ", unit: 60 } }), { name: "Enter a name.", "schedule.catchUpSeconds": "Enter a number." });
});

test("the end of a task is announced once, also if its beginning was not seen, and old ends are not", () => {
  const begun = Date.parse("2026-01-01T00:00:00Z");
  const ends = new UnannouncedEnds(begun);
  const change = (taskId, state, finishedAt = null) => ends.isNew({ taskId, state, finishedAt });
  assert.equal(change("a", "RUNNING"), false);
  assert.equal(change("a", "SUCCEEDED", "2025-12-31T23:59:59Z"), true); // it was open; clocks differ
  assert.equal(change("a", "SUCCEEDED", "2025-12-31T23:59:59Z"), false);
  assert.equal(change("b", "FAILED", "2026-01-01T00:00:01Z"), true);
  assert.equal(change("b", "FAILED", "2026-01-01T00:00:01Z"), false);
  assert.equal(change("c", "SUCCEEDED", "2025-12-31T00:00:00Z"), false);
  assert.equal(change("d", "RUNNING"), false);
  ends.forget("d");
  assert.equal(change("d", "CANCELLED", "2025-12-31T00:00:00Z"), false);
});
