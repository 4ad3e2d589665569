/** Light or dark: the system's, unless a person chose one in this browser. */
import { useSyncExternalStore } from "react";

export type ThemeName = "light" | "dark";

const KEY = "seclog.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function chosen(): ThemeName | undefined {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : undefined;
}

function themeName(): ThemeName {
  return chosen() ?? (system.matches ? "dark" : "light");
}

/** Sets what a person chose before, at the page's start. */
export function applyTheme(): void {
  const name = chosen();
  if (name === undefined) delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = name;
}

/** Changes to the other one; the system's own choice is remembered as none. */
export function toggleTheme(): void {
  const next = themeName() === "dark" ? "light" : "dark";
  if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
  for (const listener of listeners) listener();
}

/** The theme that is shown; the component is drawn again when it changes. */
export function useThemeName(): ThemeName {
  return useSyncExternalStore((changed) => {
    listeners.add(changed);
    system.addEventListener("change", changed);
    return () => {
      listeners.delete(changed);
      system.removeEventListener("change", changed);
    };
  }, themeName);
}
