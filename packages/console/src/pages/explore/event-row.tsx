/** A row of the list, and its cells. */
import type { EventRecord } from "@seclog/api";
import { memo, type ReactNode } from "react";
import { Button } from "../../parts/control.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import { type Column, ENTITY_KINDS } from "./columns.tsx";
import style from "./rows.module.css";

export interface EventRowProps {
  readonly event: EventRecord;
  readonly index: number;
  readonly columns: readonly Column[];
  readonly isCurrent: boolean;
  readonly isOpen: boolean;
  /** The column whose value the keys and the small bar act on. */
  readonly active: string | undefined;
  readonly onFilter: (field: string, value: string, how: "for" | "out") => void;
}

export const EventRow = memo(function EventRow({
  event,
  index,
  columns,
  isCurrent,
  isOpen,
  active,
  onFilter,
}: EventRowProps): ReactNode {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus, and names its current row
    <div
      role="row"
      id={`row-${event.id}`}
      className={isCurrent || isOpen ? `${style.row} ${style.current}` : style.row}
      data-level={event.level}
      data-index={index}
      aria-level={1}
      aria-rowindex={index + 2}
      aria-expanded={isOpen}
      aria-selected={isCurrent}
    >
      {columns.map((column, at) => (
        <Cell
          key={column.id}
          event={event}
          column={column}
          isLast={at === columns.length - 1}
          isActive={column.id === active}
          onFilter={onFilter}
        />
      ))}
    </div>
  );
});

interface CellProps {
  readonly event: EventRecord;
  readonly column: Column;
  readonly isLast: boolean;
  readonly isActive: boolean;
  readonly onFilter: EventRowProps["onFilter"];
}

function Cell({ event, column, isLast, isActive, onFilter }: CellProps): ReactNode {
  const value = column.value(event);
  const shown = column.show?.(event) ?? (value === undefined ? null : <Stranger value={value} most={120} />);
  const acts = isActive && value !== undefined && column.field !== undefined;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table cannot leave out the rows that are not in sight
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
    <div role="gridcell" className={style.cell} data-column={column.id}>
      <span className={`cut ${column.isMono ? "mono" : ""} ${acts ? style.washed : ""}`}>
        {shown ?? <span className="sr">no {column.name.toLowerCase()}</span>}
      </span>
      {acts && column.field !== undefined ? (
        <CellActions field={column.field} value={value} isLast={isLast} onFilter={onFilter} />
      ) : null}
    </div>
  );
}

interface CellActionsProps {
  readonly field: string;
  readonly value: string;
  readonly isLast?: boolean;
  readonly onFilter: EventRowProps["onFilter"];
}

/** The small bar beside a value: for, out, its page. */
function CellActions({ field, value, isLast = false, onFilter }: CellActionsProps): ReactNode {
  const kind = ENTITY_KINDS[field];
  return (
    <span className={isLast ? `${style.actions} ${style.inside}` : style.actions} data-acts>
      <Button kind="quiet" tabIndex={-1} onClick={() => onFilter(field, value, "for")}>
        <Icon name="equal" size={12} />
        for <kbd>f</kbd>
      </Button>
      <Button kind="quiet" tabIndex={-1} onClick={() => onFilter(field, value, "out")}>
        <Icon name="unequal" size={12} />
        out <kbd>x</kbd>
      </Button>
      {kind === undefined ? null : (
        <Link href={entityHref(kind, value)} tabIndex={-1} aria-label={`The page of this ${column(kind)}`}>
          <Icon name="open" size={12} />
        </Link>
      )}
    </span>
  );
}

function column(kind: string): string {
  return kind === "ip" ? "address" : kind;
}

/** The address of an entity's page, with the time of this one. */
export function entityHref(kind: string, value: string): string {
  const { searchParams } = new URL(location.href);
  return hrefOf(`/entities/${kind}/${encodeURIComponent(value)}`, {
    since: searchParams.get("since") ?? undefined,
    until: searchParams.get("until") ?? undefined,
  });
}
