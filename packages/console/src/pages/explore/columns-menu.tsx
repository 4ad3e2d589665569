/** Which columns the rows have, and in which order; the address keeps it. */

import * as Popover from "@radix-ui/react-popover";
import type { EventRecord } from "@seclog/api";
import type { ReactNode } from "react";
import { Button } from "../../parts/control.tsx";
import floating from "../../parts/floating.module.css";
import { Stranger } from "../../parts/stranger.tsx";
import { changeSearch } from "../../routing/place.ts";
import { COLUMNS, type Column, DEFAULT_COLUMNS, dataColumns } from "./columns.tsx";
import style from "./menus.module.css";

export interface ColumnsMenuProps {
  readonly columns: readonly Column[];
  readonly events: readonly EventRecord[];
  readonly isOpen: boolean;
  readonly onOpen: (isOpen: boolean) => void;
}

export function ColumnsMenu({ columns, events, isOpen, onOpen }: ColumnsMenuProps): ReactNode {
  return (
    <Popover.Root open={isOpen} onOpenChange={onOpen}>
      <Popover.Trigger asChild>
        <Button icon="columns" aria-label="Columns" className="wide-only" title="Columns  ⇧C">
          <span className={style.word}>Columns</span>
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className={`${floating.box} ${style.columns}`}
          align="end"
          sideOffset={6}
          collisionPadding={8}
          aria-label="Columns"
        >
          {isOpen ? <Choices columns={columns} events={events} /> : null}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function Choices({ columns, events }: Pick<ColumnsMenuProps, "columns" | "events">): ReactNode {
  const ids = columns.map(({ id }) => id);
  const set = (next: readonly string[]): void => {
    const isDefault = next.length === 0 || next.join() === DEFAULT_COLUMNS.join();
    changeSearch({ columns: isDefault ? undefined : next.join(",") }, "replace");
  };
  const move = (at: number, by: number): void => {
    const next = [...ids];
    const [moved] = next.splice(at, 1);
    if (moved === undefined) return;
    next.splice(at + by, 0, moved);
    set(next);
  };
  const others = COLUMNS.filter(({ id }) => !ids.includes(id));
  const data = dataColumns(events).filter(({ id }) => !ids.includes(id));
  const looked = Math.min(events.length, 1_000);
  return (
    <>
      <div className={floating.group}>
        Columns
        <button type="button" className={`link ${floating.right}`} onClick={() => set(DEFAULT_COLUMNS)}>
          as at first
        </button>
      </div>
      {columns.map(({ id, name }, at) => (
        <div key={id} className={`${floating.item} ${style.choice}`}>
          <label>
            <input
              type="checkbox"
              checked
              disabled={ids.length === 1}
              onChange={() => set(ids.filter((each) => each !== id))}
            />
            <Stranger value={name} most={60} />
          </label>
          <span className={style.order}>
            <button
              type="button"
              disabled={at === 0}
              aria-label={`Move ${name} to the left`}
              onClick={() => move(at, -1)}
            >
              ↑
            </button>
            <button
              type="button"
              disabled={at === ids.length - 1}
              aria-label={`Move ${name} to the right`}
              onClick={() => move(at, 1)}
            >
              ↓
            </button>
          </span>
        </div>
      ))}
      <div className={floating.group}>More</div>
      {others.map(({ id, name }) => (
        <Other key={id} name={name} onAdd={() => set([...ids, id])} />
      ))}
      {data.map(({ id, events: having }) => (
        <Other
          key={id}
          name={id}
          about={`in ${Math.round((having / looked) * 100)} %`}
          onAdd={() => set([...ids, id])}
        />
      ))}
      <div className={floating.end}>The address keeps the columns, and a saved view does</div>
    </>
  );
}

function Other({
  name,
  about,
  onAdd,
}: {
  readonly name: string;
  readonly about?: string;
  readonly onAdd: () => void;
}): ReactNode {
  return (
    <label className={`${floating.item} ${style.choice} t2`}>
      <input type="checkbox" checked={false} onChange={onAdd} />
      <Stranger value={name} most={60} />
      {about === undefined ? null : <span className={floating.right}>{about}</span>}
    </label>
  );
}
