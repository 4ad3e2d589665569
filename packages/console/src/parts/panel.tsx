/** A region of a page: a title, what it says in a few words, a way to more. Panels meet at hairlines. */
import type { ReactNode } from "react";
import style from "./panel.module.css";

export interface PanelProps {
  readonly title: string;
  readonly about?: ReactNode;
  /** At the right end of the head. */
  readonly more?: ReactNode;
  readonly children: ReactNode;
  readonly className?: string;
}

export function Panel({ title, about, more, children, className }: PanelProps): ReactNode {
  return (
    <section className={className} aria-label={title}>
      <header className={style.head}>
        <h2>{title}</h2>
        {about === undefined ? null : <span className="cut">{about}</span>}
        {more === undefined ? null : <span className={style.more}>{more}</span>}
      </header>
      {children}
    </section>
  );
}
