/** Where the reader is in the list: the current row and its cell, and the row that is open, which the address has. */
import type { EventRecord } from "@seclog/api";
import { type RefObject, useCallback, useMemo, useRef, useState } from "react";
import { changeSearch } from "../../routing/place.ts";
import type { Column } from "./columns.tsx";

export interface ListPlace {
  readonly currentId: string | undefined;
  readonly column: string | undefined;
  readonly openId: string | undefined;
  /** Counts what must bring the current row into sight. */
  readonly moved: number;
  /** What the keys for values act on; the list sets it. */
  readonly target: RefObject<{ readonly id: string; readonly column: string } | undefined>;
  setCurrent(id: string): void;
  move(by: number): void;
  moveTo(which: "first" | "last"): void;
  moveColumn(by: number, columns: readonly Column[]): void;
  toggleOpen(id: string): void;
  /** Closes what is open, or forgets the current row. Returns whether there was something. */
  leave(): boolean;
}

export function useListPlace(events: readonly EventRecord[], openId: string | undefined): ListPlace {
  const [current, setCurrentState] = useState<{ readonly id: string | undefined; readonly moved: number }>({
    id: openId,
    moved: 0,
  });
  const [column, setColumn] = useState<string>();
  const target = useRef<{ readonly id: string; readonly column: string } | undefined>(undefined);
  const now = useRef({ events, current, openId, column });
  now.current = { events, current, openId, column };
  const show = useCallback((index: number) => {
    const { events: all } = now.current;
    const id = all[Math.max(0, Math.min(all.length - 1, index))]?.id;
    if (id !== undefined) setCurrentState(({ moved }) => ({ id, moved: moved + 1 }));
  }, []);
  const moves = useMemo(
    () => ({
      setCurrent: (id: string) => setCurrentState(({ moved }) => ({ id, moved })),
      move(by: number) {
        const { events: all, current: at } = now.current;
        const index = all.findIndex(({ id }) => id === at.id);
        show(index < 0 ? (by > 0 ? 0 : all.length - 1) : index + by);
      },
      moveTo: (which: "first" | "last") => show(which === "first" ? 0 : now.current.events.length - 1),
      moveColumn(by: number, columns: readonly Column[]) {
        const own = columns.filter(({ field }) => field !== undefined);
        const index = own.findIndex(({ id }) => id === now.current.column);
        setColumn(own[index < 0 ? 0 : Math.max(0, Math.min(own.length - 1, index + by))]?.id);
        if (now.current.current.id === undefined) show(0);
      },
      toggleOpen: (id: string) => changeSearch({ open: now.current.openId === id ? undefined : id }, "replace"),
      leave() {
        if (now.current.openId !== undefined) changeSearch({ open: undefined }, "replace");
        else if (now.current.current.id !== undefined) setCurrentState(({ moved }) => ({ id: undefined, moved }));
        else return false;
        return true;
      },
    }),
    [show],
  );
  return { currentId: current.id, moved: current.moved, column, openId, target, ...moves };
}
