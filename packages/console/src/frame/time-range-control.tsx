/** Chooses the time that a page looks at: an age, or two moments in the reader's zone. */
import * as Popover from "@radix-ui/react-popover";
import { type FormEvent, type ReactNode, useMemo, useState } from "react";
import { localTime, zoneName } from "../data/clock.ts";
import { momentsOf, RANGES, setTimeRange, type TimeRange, useTimeRange } from "../data/time-range.ts";
import { useKeys } from "../keyboard/keys.ts";
import { Button } from "../parts/control.tsx";
import floating from "../parts/floating.module.css";
import { Icon } from "../parts/icon.tsx";
import style from "./frame.module.css";

export function TimeRangeControl(): ReactNode {
  const range = useTimeRange();
  const [isOpen, setOpen] = useState(false);
  useKeys(useMemo(() => [{ keys: "t", label: "Time range", group: "Query", run: () => setOpen(true) }], []));
  return (
    <Popover.Root open={isOpen} onOpenChange={setOpen}>
      <Popover.Trigger asChild>
        <Button icon="clock" aria-label={`Time range: ${nameOf(range)}`}>
          {nameOf(range)}
          <Icon name="down" size={12} />
        </Button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className={floating.box}
          align="end"
          sideOffset={6}
          collisionPadding={8}
          aria-label="Time range"
        >
          {RANGES.map(({ since, label }) => (
            <button
              key={since}
              type="button"
              className={floating.item}
              aria-selected={range.since === since && range.until === undefined}
              role="option"
              onClick={() => {
                setTimeRange({ since });
                setOpen(false);
              }}
            >
              {label}
            </button>
          ))}
          <Moments range={range} onChosen={() => setOpen(false)} />
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function Moments({ range, onChosen }: { readonly range: TimeRange; readonly onChosen: () => void }): ReactNode {
  const { from, to } = momentsOf(range, Date.now());
  const choose = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const since = new Date(String(given.get("since")));
    const until = new Date(String(given.get("until")));
    if (Number.isNaN(since.getTime()) || Number.isNaN(until.getTime()) || since >= until) return;
    setTimeRange({ since: since.toISOString(), until: until.toISOString() });
    onChosen();
  };
  return (
    <form className={style.range} onSubmit={choose}>
      <label>
        From
        <input name="since" type="datetime-local" step="1" required defaultValue={inputValue(from)} />
      </label>
      <label>
        To
        <input name="until" type="datetime-local" step="1" required defaultValue={inputValue(to)} />
      </label>
      <Button type="submit" kind="primary">
        Show this time ({zoneName()})
      </Button>
    </form>
  );
}

function inputValue(at: number): string {
  const { day, time } = localTime(new Date(at).toISOString());
  return `${day}T${time}`;
}

function nameOf(range: TimeRange): string {
  if (range.until === undefined) {
    const known = RANGES.find(({ since }) => since === range.since);
    return known?.label ?? `Last ${range.since}`;
  }
  const { from, to } = momentsOf(range, Date.now());
  const [begin, end] = [localTime(new Date(from).toISOString()), localTime(new Date(to).toISOString())];
  const sameDay = begin.day === end.day;
  return `${begin.day.slice(5)} ${begin.time.slice(0, 5)} to ${sameDay ? "" : `${end.day.slice(5)} `}${end.time.slice(0, 5)}`;
}
