/** Whether something lives: a dot of its own shape beside the word. */
import type { ReactNode } from "react";
import style from "./state.module.css";

export interface StateProps {
  readonly state: "alive" | "silent" | "gone";
  /** @default the state itself */
  readonly children?: ReactNode;
}

export function State({ state, children = state }: StateProps): ReactNode {
  return (
    <span className={style.state} data-state={state}>
      {children}
    </span>
  );
}
