/** The frame of every page: the rail of places, the top bar, the status line at the foot. */
import { type ReactNode, useEffect, useMemo } from "react";
import { toggleTheme } from "../data/theme.ts";
import { type KeyBinding, keySigns, useBegun, useBindings, useKeys } from "../keyboard/keys.ts";
import { Button, Keys } from "../parts/control.tsx";
import { Icon, type IconName } from "../parts/icon.tsx";
import { Link } from "../routing/link.tsx";
import { goTo, hrefOf, usePlace } from "../routing/place.ts";
import style from "./frame.module.css";
import { showKeys, showPalette } from "./overlays.tsx";
import { SealChip } from "./seal-chip.tsx";
import { SessionMark } from "./session-mark.tsx";
import { TimeRangeControl } from "./time-range-control.tsx";
import { copy } from "./toasts.tsx";

const PLACES: readonly {
  readonly path: string;
  readonly name: string;
  readonly icon: IconName;
  readonly key: string;
}[] = [
  { path: "/", name: "Overview", icon: "overview", key: "o" },
  { path: "/explore", name: "Explore", icon: "explore", key: "e" },
  { path: "/integrity", name: "Integrity", icon: "integrity", key: "i" },
];

export interface FrameProps {
  /** The page's name; the title of the window begins with it. */
  readonly title: string;
  /** What stands at the left of the top bar. @default the title */
  readonly head?: ReactNode;
  /** Whether the page looks at a range of time. @default true */
  readonly hasTime?: boolean;
  /** The status line: what is shown, and how complete it is. */
  readonly foot?: ReactNode;
  readonly children: ReactNode;
}

export function Frame({ title, head, hasTime = true, foot, children }: FrameProps): ReactNode {
  useEffect(() => {
    // A stranger may have chosen it.
    document.title = `${title.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, " ").slice(0, 80)} · Seclog`;
  }, [title]);
  useKeys(COMMON_KEYS);
  const { path, search } = usePlace();
  const begun = useBegun();
  const times = useMemo(() => timesOf(search), [search]);
  const current = PLACES.find((place) => place.path === path) ?? (path.startsWith("/settings") ? undefined : PLACES[1]);
  return (
    <div className={style.frame}>
      <aside className={style.rail} aria-label="Places">
        <Link className={style.logo ?? ""} href={hrefOf("/", times)} aria-label="Seclog">
          <Logo />
        </Link>
        <nav>
          {PLACES.map((place) => (
            <Link
              key={place.path}
              href={hrefOf(place.path, times)}
              aria-label={place.name}
              {...(place === current ? { "aria-current": "page" as const } : {})}
            >
              <Icon name={place.icon} />
              <span className={style.label}>
                {place.name} <kbd>g</kbd> <kbd>{place.key}</kbd>
              </span>
              {begun === "g" ? <kbd className={style.begun}>{place.key}</kbd> : null}
            </Link>
          ))}
        </nav>
        <div className={style.end}>
          <button type="button" onClick={showKeys} aria-label="Keyboard" title="Keyboard  ?">
            <Icon name="keyboard" />
          </button>
          <button type="button" onClick={toggleTheme} aria-label="Light or dark" title="Light or dark">
            <Icon name="theme" />
          </button>
          <SessionMark />
        </div>
      </aside>
      <header className={style.top}>
        {head ?? <h1>{title}</h1>}
        <span className="grow" />
        {hasTime ? <TimeRangeControl /> : null}
        <SealChip />
        <Button icon="search" className={style.jump} onClick={showPalette}>
          <span>Search or jump</span>
          <span aria-hidden="true">
            <Keys signs={keySigns("mod+k")} />
          </span>
        </Button>
      </header>
      <main className={style.page} id="page">
        {children}
      </main>
      <footer className={style.foot}>
        <span className="cut">{foot}</span>
        <Hints />
      </footer>
    </div>
  );
}

/** The keys that work here, at the right of the foot. */
function Hints(): ReactNode {
  const hinted = useBindings().filter(({ hint }) => hint !== undefined);
  const byHint = new Map<string, string[]>();
  for (const { hint = "", keys } of hinted) byHint.set(hint, [...(byHint.get(hint) ?? []), ...keySigns(keys)]);
  return (
    <span className={style.hints}>
      {[...byHint].map(([hint, signs]) => (
        <span key={hint}>
          <Keys signs={signs} /> {hint}
        </span>
      ))}
      <span>
        <kbd>?</kbd> all keys
      </span>
    </span>
  );
}

/** The times of the address, which links to other places keep. */
function timesOf(search: URLSearchParams): { readonly since: string | undefined; readonly until: string | undefined } {
  return { since: search.get("since") ?? undefined, until: search.get("until") ?? undefined };
}

const COMMON_KEYS: readonly KeyBinding[] = [
  ...PLACES.map(
    ({ path, name, key }): KeyBinding => ({
      keys: `g ${key}`,
      label: name,
      group: "Go",
      run: () => goTo(hrefOf(path, timesOf(new URLSearchParams(location.search)))),
    }),
  ),
  { keys: "mod+k", label: "Search or jump", group: "Go", run: showPalette },
  { keys: "?", label: "All keys", group: "Go", run: showKeys },
  {
    keys: "y",
    label: "Copy a link to exactly this",
    group: "Page",
    run: () => void copy(location.href, "Link to exactly this copied"),
  },
];

export function Logo({ size = 20 }: { readonly size?: number }): ReactNode {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.7}
      strokeLinecap="round"
      aria-hidden="true"
    >
      <path d="M3 5h14M3 10h9M3 15h5" />
      <path d="M11.5 15.2l1.9 1.9 4.1-4.6" stroke="var(--ok)" strokeLinejoin="round" />
    </svg>
  );
}
