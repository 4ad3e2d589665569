/** The rows: only those in sight exist, however many are loaded. */
import type { EventRecord } from "@seclog/api";
import { useVirtualizer } from "@tanstack/react-virtual";
import {
  type CSSProperties,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
  useEffect,
  useRef,
  useState,
} from "react";
import { zoneName } from "../../data/clock.ts";
import type { Column } from "./columns.tsx";
import { EventRow, type EventRowProps } from "./event-row.tsx";
import style from "./rows.module.css";
import type { ListPlace } from "./use-list-place.ts";

export interface EventRowsProps {
  readonly events: readonly EventRecord[];
  readonly columns: readonly Column[];
  readonly place: ListPlace;
  readonly isOld: boolean;
  readonly isNarrow: boolean;
  /** All that match, where that is known. */
  readonly total: number | undefined;
  readonly onFilter: EventRowProps["onFilter"];
  /** Loads at least so many. */
  readonly onNeed: (rows: number) => void;
  /** Whether the newest row is in sight. */
  readonly onTop: (isAtTop: boolean) => void;
  readonly showOpened: (event: EventRecord) => ReactNode;
  /** What stands below the last row. */
  readonly end: ReactNode;
}

const HEAD = 26;
const AHEAD = 300;

export function EventRows(props: EventRowsProps): ReactNode {
  const { events, columns, place, isOld, isNarrow, total, onFilter, onNeed, onTop, showOpened, end } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState<{ readonly id: string; readonly column: string }>();
  const row = isNarrow ? 52 : 28;
  const head = isNarrow ? 0 : HEAD;
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => row,
    getItemKey: (index) => events[index]?.id ?? index,
    overscan: 12,
    scrollMargin: head,
    scrollPaddingStart: head,
  });
  const items = rows.getVirtualItems();
  const lastInSight = items.at(-1)?.index ?? 0;
  useEffect(() => onNeed(lastInSight + AHEAD), [lastInSight, onNeed]);
  useScrollToCurrent(place, events, (index, align) => rows.scrollToIndex(index, { align }));
  // What f and x act on: the value under the pointer, or that of the current row.
  place.target.current =
    hovered !== undefined && events.some(({ id }) => id === hovered.id)
      ? hovered
      : place.currentId === undefined || place.column === undefined
        ? undefined
        : { id: place.currentId, column: place.column };

  const over = (event: MouseEvent): void => {
    const found = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-column]") : null;
    const index = found?.closest<HTMLElement>("[data-index]")?.dataset["index"];
    const id = index === undefined ? undefined : events[Number(index)]?.id;
    const column = found?.dataset["column"];
    if (id === undefined || column === undefined) setHovered(undefined);
    else if (hovered?.id !== id || hovered.column !== column) setHovered({ id, column });
  };
  const clicked = (event: MouseEvent): void => {
    if (!(event.target instanceof Element) || event.target.closest("[data-acts],a,button") !== null) return;
    if ((getSelection()?.toString() ?? "") !== "") return;
    const index = event.target.closest<HTMLElement>("[data-index][role=row]")?.dataset["index"];
    const id = index === undefined ? undefined : events[Number(index)]?.id;
    if (id === undefined) return;
    place.setCurrent(id);
    place.toggleOpen(id);
  };
  const width = columns.reduce((sum, column) => sum + column.width, 12);
  const template = columns.map((column, at) =>
    at === columns.length - 1 ? `minmax(${column.width}px, 1fr)` : `${column.width}px`,
  );
  // A row that is not drawn cannot be the active one.
  const isInSight = items.some(({ index }) => events[index]?.id === place.currentId);
  return (
    <div
      ref={scroller}
      className={style.rows}
      onScroll={({ currentTarget }) => onTop(currentTarget.scrollTop < row / 2)}
    >
      {isNarrow && events.length === 0 ? null : (
        <div
          role="treegrid"
          className={style.grid}
          aria-label="Events"
          aria-rowcount={total === undefined ? -1 : Math.max(total, events.length) + 1}
          aria-colcount={columns.length}
          aria-busy={isOld}
          aria-activedescendant={isInSight ? `row-${place.currentId}` : undefined}
          tabIndex={0}
          data-old={isOld}
          style={{ "--columns": template.join(" "), "--least-width": isNarrow ? "0" : `${width}px` } as CSSProperties}
          onKeyDown={(event) => moveByArrows(event, place, columns)}
          onMouseOver={over}
          onFocus={() => {}}
          onMouseLeave={() => setHovered(undefined)}
          onClick={clicked}
        >
          {isNarrow ? null : <Head columns={columns} />}
          <div className={style.body} role="presentation" style={{ height: `${rows.getTotalSize()}px` }}>
            {items.map((item) => {
              const event = events[item.index];
              if (event === undefined) return null;
              const isOpen = event.id === place.openId;
              return (
                <div
                  key={item.key}
                  ref={rows.measureElement}
                  data-index={item.index}
                  className={style.item}
                  role="presentation"
                  style={{ transform: `translateY(${item.start - head}px)` }}
                >
                  <EventRow
                    event={event}
                    index={item.index}
                    columns={columns}
                    isCurrent={event.id === place.currentId}
                    isOpen={isOpen}
                    active={
                      hovered?.id === event.id
                        ? hovered.column
                        : hovered === undefined && event.id === place.currentId
                          ? place.column
                          : undefined
                    }
                    onFilter={onFilter}
                  />
                  {isOpen ? showOpened(event) : null}
                </div>
              );
            })}
          </div>
        </div>
      )}
      {end}
    </div>
  );
}

function Head({ columns }: { readonly columns: readonly Column[] }): ReactNode {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
    <div role="row" className={`${style.row} ${style.head}`} aria-rowindex={1}>
      {columns.map((column) => (
        // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight
        // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
        <div key={column.id} role="columnheader" className="cut">
          {column.name}
          {column.id === "time" || column.id === "date" ? <span> {zoneName()}</span> : null}
        </div>
      ))}
    </div>
  );
}

/** Keeps the current row in sight when keys moved it. */
function useScrollToCurrent(
  place: ListPlace,
  events: readonly EventRecord[],
  scroll: (index: number, align: "auto" | "center") => void,
): void {
  const { moved, currentId } = place;
  // An address with an open event begins there.
  const seen = useRef(currentId === undefined ? moved : -1);
  useEffect(() => {
    if (seen.current === moved || currentId === undefined) return;
    const index = events.findIndex(({ id }) => id === currentId);
    if (index < 0) return;
    scroll(index, seen.current === -1 ? "center" : "auto");
    seen.current = moved;
  });
}

function moveByArrows(event: KeyboardEvent, place: ListPlace, columns: readonly Column[]): void {
  if (event.target !== event.currentTarget || event.metaKey || event.ctrlKey || event.altKey) return;
  const page = Math.max(1, Math.floor((event.currentTarget.parentElement?.clientHeight ?? 0) / 28) - 2);
  const moves: { readonly [key: string]: () => void } = {
    ArrowDown: () => place.move(1),
    ArrowUp: () => place.move(-1),
    PageDown: () => place.move(page),
    PageUp: () => place.move(-page),
    Home: () => place.moveTo("first"),
    End: () => place.moveTo("last"),
    ArrowRight: () => place.moveColumn(1, columns),
    ArrowLeft: () => place.moveColumn(-1, columns),
  };
  const move = moves[event.key];
  if (move === undefined) return;
  event.preventDefault();
  move();
}
