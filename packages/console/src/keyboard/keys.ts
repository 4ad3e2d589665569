/**
 * The keyboard: pages declare what a key does while they are shown; the footer and the list of keys are made from that.
 * Single letters do nothing while a field has the focus, and can be switched off (WCAG 2.1.4).
 */
import { useEffect, useSyncExternalStore } from "react";

export interface KeyBinding {
  /** `j`, `shift+g`, `mod+k` (⌘ or Ctrl), `Escape`, or one after the other: `g e`. */
  readonly keys: string;
  /** What it does, in the list of keys: `Filter for the value`. */
  readonly label: string;
  /** Where it stands in the list. */
  readonly group: "Go" | "In a list" | "Query" | "Explore" | "Event" | "Page";
  /** A word for the footer; absent: not shown there. */
  readonly hint?: string;
  /** Returns `false` to leave the key to the browser. */
  readonly run: (event: KeyboardEvent) => unknown;
}

/** The newest declaration wins a key. */
let bindings: readonly KeyBinding[] = [];
const listeners = new Set<() => void>();
/** The first key of a sequence, and until when it counts, in milliseconds. */
let begun: { readonly key: string; readonly until: number } | undefined;
const SEQUENCE_MS = 1_200;
const LETTERS_KEY = "seclog.letters";

function announce(): void {
  for (const listener of listeners) listener();
}

function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

/** Declares keys for as long as the component is shown. Pass the same array while nothing changes (`useMemo`). */
export function useKeys(own: readonly KeyBinding[]): void {
  useEffect(() => {
    bindings = [...own, ...bindings];
    announce();
    return () => {
      bindings = bindings.filter((binding) => !own.includes(binding));
      announce();
    };
  }, [own]);
}

/** The keys that work now, the newest first. */
export function useBindings(): readonly KeyBinding[] {
  return useSyncExternalStore(subscribe, () => bindings);
}

/** Whether the first key of a sequence was pressed, such as `g`. */
export function useBegun(): string | undefined {
  return useSyncExternalStore(subscribe, () => begun?.key);
}

/** Whether single letters act. */
export function lettersAct(): boolean {
  return localStorage.getItem(LETTERS_KEY) !== "off";
}

export function setLetters(act: boolean): void {
  localStorage.setItem(LETTERS_KEY, act ? "on" : "off");
  announce();
}

/** Whether typing goes into the element. */
function isField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
    !/^(?:checkbox|radio|button)$/.test((target as HTMLInputElement).type)
  );
}

function nameOf(event: KeyboardEvent): string {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isLetter = /^[a-z]$/.test(key);
  return `${event.metaKey || event.ctrlKey ? "mod+" : ""}${event.shiftKey && (isLetter || key.length > 1) ? "shift+" : ""}${key}`;
}

/** Listens to the keyboard; returns what ends that. */
export function listenToKeys(): () => void {
  const pressed = (event: KeyboardEvent): void => {
    if (event.isComposing || event.altKey || event.defaultPrevented) return;
    const name = nameOf(event);
    const isPlain = !name.startsWith("mod+") && name !== "Escape";
    if (isPlain && (isField(event.target) || !lettersAct() || document.querySelector("dialog[open]") !== null)) return;
    const now = Date.now();
    const sequence = begun !== undefined && begun.until > now ? `${begun.key} ${name}` : undefined;
    const binding =
      bindings.find(({ keys }) => sequence !== undefined && keys === sequence) ??
      bindings.find(({ keys }) => keys === name);
    const starts = sequence === undefined && bindings.some(({ keys }) => keys.startsWith(`${name} `));
    begun = starts ? { key: name, until: now + SEQUENCE_MS } : undefined;
    if (starts) setTimeout(announce, SEQUENCE_MS + 10);
    announce();
    if (binding === undefined || (starts && binding.keys === name)) return;
    if (binding.run(event) !== false) event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}

const IS_APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const SIGNS: { readonly [key: string]: string } = {
  mod: IS_APPLE ? "⌘" : "Ctrl",
  shift: "⇧",
  enter: "↵",
  escape: "esc",
  arrowup: "↑",
  arrowdown: "↓",
};

/** A binding's keys as signs, for `<kbd>`: `["g", "e"]`, `["⌘", "K"]`. */
export function keySigns(keys: string): readonly string[] {
  return keys.split(" ").flatMap((key) => {
    const parts = key.split("+").map((part) => SIGNS[part.toLowerCase()] ?? part);
    return parts.length > 1 ? parts.map((part) => (part.length === 1 ? part.toUpperCase() : part)) : parts;
  });
}
