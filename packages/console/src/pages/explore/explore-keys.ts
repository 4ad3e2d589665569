/** The keys of this page. */
import { useMemo, useRef } from "react";
import { type KeyBinding, useKeys } from "../../keyboard/keys.ts";

/** What the keys do; a function may return `false` to leave the key to the browser. */
export interface ExploreActions {
  readonly move: (by: number) => void;
  readonly moveTo: (which: "first" | "last") => void;
  readonly open: () => unknown;
  readonly openPage: () => void;
  readonly filter: (how: "for" | "out") => void;
  readonly focusQuery: () => void;
  readonly context: () => void;
  readonly whatElse: () => void;
  readonly differs: () => void;
  readonly live: () => void;
  readonly columns: () => void;
  readonly facets: () => void;
  readonly save: () => void;
  readonly exportAll: () => void;
  readonly view: (number: number) => void;
  readonly leave: () => unknown;
}

export function useExploreKeys(actions: ExploreActions): void {
  const latest = useRef(actions);
  latest.current = actions;
  useKeys(useMemo(() => keysOf(() => latest.current), []));
}

function keysOf(act: () => ExploreActions): readonly KeyBinding[] {
  const list = "In a list";
  return [
    { keys: "j", label: "Next", group: list, hint: "move", run: () => act().move(1) },
    { keys: "k", label: "Previous", group: list, hint: "move", run: () => act().move(-1) },
    { keys: "g g", label: "First", group: list, run: () => act().moveTo("first") },
    { keys: "shift+g", label: "Last that is loaded", group: list, run: () => act().moveTo("last") },
    { keys: "Enter", label: "Open here", group: list, hint: "open", run: (event) => opens(event) && act().open() },
    { keys: "o", label: "Open as a page", group: list, run: () => act().openPage() },
    { keys: "/", label: "Query", group: "Query", run: () => act().focusQuery() },
    { keys: "f", label: "Filter for the value", group: "Query", hint: "filter for", run: () => act().filter("for") },
    { keys: "x", label: "Filter the value out", group: "Query", hint: "filter out", run: () => act().filter("out") },
    { keys: "c", label: "Context of the event", group: "Query", hint: "context", run: () => act().context() },
    { keys: "w", label: "What else the address or actor did", group: "Query", run: () => act().whatElse() },
    { keys: "d", label: "What differs here", group: "Query", run: () => act().differs() },
    { keys: "l", label: "Live, or show newer events", group: "Explore", hint: "live", run: () => act().live() },
    { keys: "shift+c", label: "Columns", group: "Explore", run: () => act().columns() },
    { keys: "\\", label: "Facets", group: "Explore", run: () => act().facets() },
    { keys: "s", label: "Save view", group: "Explore", run: () => act().save() },
    { keys: "shift+e", label: "Export", group: "Explore", run: () => act().exportAll() },
    ...Array.from(
      { length: 9 },
      (_, index): KeyBinding => ({
        keys: String(index + 1),
        label: `View ${index + 1}`,
        group: "Explore",
        run: () => act().view(index),
      }),
    ),
    { keys: "Escape", label: "Close, then leave the row", group: list, run: () => act().leave() },
  ];
}

/** Enter on a control is the control's. */
function opens({ target }: KeyboardEvent): boolean {
  return !(target instanceof Element && target.closest("a,button,input,select,summary,[role=menuitem]") !== null);
}
