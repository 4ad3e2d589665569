/** Events by level: the figures are the legend of the chart, and a click looks at them. */
import type { ReactNode } from "react";
import { change, count, isRise } from "../../data/numbers.ts";
import type { TimeRange } from "../../data/time-range.ts";
import { Level } from "../../parts/level.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./overview.module.css";

const SHOWN = ["critical", "error", "warning", "info"];

export interface LegendProps {
  readonly levels: readonly { readonly name: string; readonly events: number }[] | undefined;
  readonly before: ReadonlyMap<string, number> | undefined;
  readonly range: TimeRange;
}

export function Legend({ levels, before, range }: LegendProps): ReactNode {
  return (
    <ul className={style.legend} aria-label="Events by level">
      {SHOWN.map((level) => {
        const now = levels?.find(({ name }) => name === level)?.events ?? 0;
        const then = before?.get(level) ?? 0;
        return (
          <li key={level}>
            <Link href={hrefOf("/explore", { q: `level:${level}`, since: range.since, until: range.until })}>
              <span className={style.figure}>{levels === undefined ? <span className="skeleton" /> : count(now)}</span>
              <span className={style.word}>
                <Level level={level} />
                {before === undefined || before.size === 0 ? null : (
                  <span className={isRise(now, then) ? style.rise : ""}>{change(now, then)}</span>
                )}
              </span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}
