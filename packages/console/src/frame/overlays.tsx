/** What opens over every page: search or jump, and the list of keys. */
import { type ReactNode, useSyncExternalStore } from "react";
import { KeySheet } from "./key-sheet.tsx";
import { Palette } from "./palette.tsx";

let open: "palette" | "keys" | undefined;
const listeners = new Set<() => void>();

function show(which: typeof open): void {
  open = which;
  for (const listener of listeners) listener();
}

export function showPalette(): void {
  show("palette");
}

export function showKeys(): void {
  show("keys");
}

export function Overlays(): ReactNode {
  const which = useSyncExternalStore(
    (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    () => open,
  );
  const close = (): void => show(undefined);
  if (which === "palette") return <Palette onClose={close} />;
  return which === "keys" ? <KeySheet onClose={close} /> : null;
}
