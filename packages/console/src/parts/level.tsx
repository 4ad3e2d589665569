/** A level is a shape, a word and a colour: each alone is enough. */
import type { ReactNode } from "react";
import style from "./level.module.css";

const SHAPES: { readonly [level: string]: ReactNode } = {
  debug: <circle cx="5" cy="5" r="1.5" fill="currentColor" />,
  info: <circle cx="5" cy="5" r="3" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  warning: <path d="M5 1.2L9.3 8.8H.7z" fill="currentColor" />,
  error: <path d="M5 .3L9.7 5 5 9.7.3 5z" fill="currentColor" />,
  critical: (
    <>
      <path d="M.5.5h9v9h-9z" fill="currentColor" />
      <path d="M5 2.3v3.2M5 7.1v.8" stroke="#fff" strokeWidth="1.4" />
    </>
  ),
};

export interface LevelProps {
  readonly level: string;
  /** With a wash behind it, or the shape alone. @default "word" */
  readonly as?: "word" | "chip" | "mark";
}

export function Level({ level, as = "word" }: LevelProps): ReactNode {
  return (
    <span className={as === "chip" ? `${style.level} ${style.chip}` : style.level} data-level={level}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        {SHAPES[level] ?? SHAPES["debug"]}
      </svg>
      {as === "mark" ? <span className="sr">{level}</span> : level}
    </span>
  );
}
