/** The most frequent values: a bar behind each name, a count, a change. */
import type { ReactNode } from "react";
import { count } from "../data/numbers.ts";
import { Link } from "../routing/link.tsx";
import style from "./top-list.module.css";

export interface TopItem {
  readonly name: ReactNode;
  /** Tells items apart. */
  readonly id: string;
  readonly count: number;
  readonly href: string;
  /** Between the name and the count, such as a spark line. */
  readonly between?: ReactNode;
  readonly change?: string;
  /** Whether the change stands out. */
  readonly rises?: boolean;
}

export function TopList({
  items,
  mono = false,
}: {
  readonly items: readonly TopItem[];
  readonly mono?: boolean;
}): ReactNode {
  const most = Math.max(1, ...items.map((item) => item.count));
  return (
    <ul className={style.list}>
      {items.map((item) => (
        <li key={item.id}>
          <span className={style.name}>
            <i style={{ width: `${Math.max(2, (item.count / most) * 100)}%` }} />
            <Link className={mono ? "cut mono" : "cut"} href={item.href}>
              {item.name}
            </Link>
          </span>
          {item.between}
          <span className={style.count}>{count(item.count)}</span>
          {item.change === undefined ? null : (
            <span className={item.rises ? `${style.change} ${style.rises}` : style.change}>{item.change}</span>
          )}
        </li>
      ))}
    </ul>
  );
}
