/** Search or jump: an address, an actor, an id, a type, a page, by its first letters. */

import { readNetwork } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { api } from "../data/api.ts";
import { termFor } from "../data/filters.ts";
import { Dialog } from "../parts/dialog.tsx";
import floating from "../parts/floating.module.css";
import { Icon, type IconName } from "../parts/icon.tsx";
import { goTo, hrefOf } from "../routing/place.ts";

interface Suggestion {
  readonly group: string;
  readonly icon: IconName;
  readonly text: string;
  readonly about?: string;
  readonly href: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const PAGES: readonly Suggestion[] = [
  { group: "Go", icon: "overview", text: "Overview", href: "/" },
  { group: "Go", icon: "explore", text: "Explore", href: "/explore" },
  { group: "Go", icon: "integrity", text: "Integrity", href: "/integrity" },
  { group: "Go", icon: "settings", text: "Settings", href: "/settings" },
];

export function Palette({ onClose }: { readonly onClose: () => void }): ReactNode {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const { data: catalogue } = useQuery({
    queryKey: ["catalogue"],
    queryFn: ({ signal }) => api.catalogue(signal),
    staleTime: Infinity,
  });
  const items = suggestionsFor(text.trim(), catalogue?.types.map(({ type }) => type) ?? []);
  const chosen = Math.min(at, items.length - 1);
  const take = (item: Suggestion | undefined): void => {
    if (item === undefined) return;
    onClose();
    goTo(item.href);
  };
  const pressed = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      setAt((chosen + step + items.length) % Math.max(1, items.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(items[chosen]);
    }
  };
  return (
    <Dialog label="Search or jump" onClose={onClose}>
      <div className={floating.input}>
        <Icon name="search" />
        <input
          autoFocus
          value={text}
          placeholder="An address, an actor, an event's id, a type, a page"
          role="combobox"
          aria-label="Search or jump"
          aria-expanded="true"
          aria-controls="palette"
          aria-activedescendant={items.length === 0 ? undefined : `palette-${chosen}`}
          spellCheck={false}
          onChange={({ target }) => {
            setText(target.value);
            setAt(0);
          }}
          onKeyDown={pressed}
        />
      </div>
      <div id="palette" role="listbox" aria-label="Results">
        {items.map((item, index) => (
          <div key={item.href} role="presentation">
            {item.group === items[index - 1]?.group ? null : <div className={floating.group}>{item.group}</div>}
            <button
              type="button"
              role="option"
              id={`palette-${index}`}
              tabIndex={-1}
              className={floating.item}
              aria-selected={index === chosen}
              onClick={() => take(item)}
            >
              <Icon name={item.icon} />
              <span className="cut">{item.text}</span>
              {item.about === undefined ? null : <span className="t3 mono cut">{item.about}</span>}
            </button>
          </div>
        ))}
      </div>
      <div className={floating.end}>
        <span>
          <kbd>↑</kbd>
          <kbd>↓</kbd> choose
        </span>
        <span>
          <kbd>↵</kbd> open
        </span>
        <span>
          <kbd>esc</kbd> close
        </span>
      </div>
    </Dialog>
  );
}

function suggestionsFor(text: string, types: readonly string[]): readonly Suggestion[] {
  const pages = PAGES.map((page) => ({ ...page, href: hrefOf(page.href) }));
  if (text === "") return pages;
  const explore = (query: string): string => hrefOf("/explore", { q: query });
  const lower = text.toLowerCase();
  const found: Suggestion[] = [];
  if (UUID.test(text)) {
    found.push({
      group: "Looks like an id",
      icon: "open",
      text: `Open event ${text}`,
      href: hrefOf(`/events/${lower}`),
    });
  }
  if (!("why" in readNetwork(text))) {
    if (!text.includes("/")) {
      found.push({
        group: "Looks like an address",
        icon: "person",
        text: `Open address ${text}`,
        href: entity("ip", text),
      });
    }
    const query = termFor("ip", text);
    found.push({
      group: "Looks like an address",
      icon: "explore",
      text: "Explore",
      about: query,
      href: explore(query),
    });
  }
  for (const type of types.filter((name) => name.includes(lower)).slice(0, 5)) {
    found.push({
      group: "Types",
      icon: "explore",
      text: type,
      about: termFor("type", type),
      href: explore(termFor("type", type)),
    });
  }
  found.push({ group: "Look for", icon: "person", text: `Open actor ${text}`, href: entity("actor", text) });
  found.push({ group: "Look for", icon: "explore", text: "Run as a query", about: text, href: explore(text) });
  const quoted = `"${text.replace(/[\\"]/g, "\\$&")}"`;
  found.push({ group: "Look for", icon: "search", text: "Search the text", about: quoted, href: explore(quoted) });
  return [...found, ...pages.filter((page) => page.text.toLowerCase().includes(lower))];
}

function entity(kind: string, value: string): string {
  return hrefOf(`/entities/${kind}/${encodeURIComponent(value)}`);
}
