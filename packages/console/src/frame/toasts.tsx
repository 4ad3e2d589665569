/** Short news at the bottom right, for four seconds. */
import { type ReactNode, useSyncExternalStore } from "react";
import floating from "../parts/floating.module.css";
import { Icon } from "../parts/icon.tsx";
import style from "./frame.module.css";

interface Toast {
  readonly id: number;
  readonly text: string;
}

let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Says something for four seconds. */
export function toast(text: string): void {
  const id = ++last;
  set([...toasts, { id, text }]);
  setTimeout(() => set(toasts.filter((each) => each.id !== id)), 4_000);
}

/** Copies a text, and says so. */
export async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast("The browser does not allow to copy: select the text instead");
  }
}

export function Toasts(): ReactNode {
  const shown = useSyncExternalStore(
    (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    () => toasts,
  );
  return (
    <div className={style.toasts} role="status">
      {shown.map(({ id, text }) => (
        <div key={id} className={`${floating.box} ${style.toast}`}>
          <Icon name="check" size={14} />
          <span>{text}</span>
        </div>
      ))}
    </div>
  );
}
