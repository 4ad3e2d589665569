/** The query: one line with colours, completion at the cursor, and faults under the character. */
import { type Completion, suggest } from "@seclog/api";
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useId, useRef, useState } from "react";
import { count } from "../../data/numbers.ts";
import { Button } from "../../parts/control.tsx";
import floating from "../../parts/floating.module.css";
import { Icon } from "../../parts/icon.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { faultOf, type QueryFault } from "./query-faults.ts";
import style from "./query-line.module.css";
import { tokensOf } from "./query-tokens.ts";
import { useKnownValues } from "./use-known-values.ts";

export interface QueryLineProps {
  readonly query: string;
  readonly input: RefObject<HTMLInputElement | null>;
  /** At the right end: how many events, how long it took. */
  readonly about: ReactNode;
  readonly onRun: (query: string) => void;
}

const MOST_SHOWN = 8;
/** The width of a character of 13 px in most faces of one width. */
const CHARACTER = 7.8;

export function QueryLine({ query, input, about, onRun }: QueryLineProps): ReactNode {
  const [draft, setDraft] = useState(query);
  const [cursor, setCursor] = useState(query.length);
  const [isOpen, setOpen] = useState(false);
  /** The completion that the arrows chose; `undefined`: none yet, so Enter runs. */
  const [chosen, setChosen] = useState<number>();
  const [fault, setFault] = useState<QueryFault | undefined>(() => faultOf(query));
  const [isFocused, setFocused] = useState(false);
  const colours = useRef<HTMLDivElement>(null);
  const list = useId();
  useEffect(() => {
    setDraft(query);
    setCursor(query.length);
    setFault(faultOf(query));
    setOpen(false);
  }, [query]);
  const { known, counts, field } = useKnownValues(draft, cursor, isOpen);
  const found = suggest(draft, cursor, known);
  const begun = draft.slice(found.from, cursor);
  // A word that is complete needs no completion.
  const items = found.items.filter(({ text }) => text !== begun);
  const shown = isOpen ? items.slice(0, MOST_SHOWN) : [];
  const change = (text: string, at: number): void => {
    setDraft(text);
    setCursor(at);
    setChosen(undefined);
    setFault(undefined);
    setOpen(true);
  };
  const run = (text: string): void => {
    const wrong = faultOf(text);
    setDraft(text);
    setFault(wrong);
    setOpen(false);
    if (wrong === undefined) onRun(text);
  };
  const take = (item: Completion): void => {
    const space = item.kind === "value" && draft.slice(found.to).trim() === "" ? " " : "";
    const text = `${draft.slice(0, found.from)}${item.text}${space}${draft.slice(found.to)}`;
    const at = found.from + item.text.length + space.length;
    change(text, at);
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
    input.current?.focus();
  };
  const pressed = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.nativeEvent.isComposing) return;
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const item = shown[chosen ?? 0];
    if (step !== 0) {
      event.preventDefault();
      setOpen(true);
      if (shown.length > 0) setChosen(((chosen ?? (step > 0 ? -1 : 0)) + step + shown.length) % shown.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (chosen !== undefined && item !== undefined) take(item);
      else run(draft);
    } else if (event.key === "Tab" && !event.shiftKey) {
      const meant = fault?.meant;
      if (meant !== undefined) {
        event.preventDefault();
        run(meant);
      } else if (item !== undefined && (begun !== "" || chosen !== undefined || field !== undefined)) {
        event.preventDefault();
        take(item);
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (isOpen || fault !== undefined) {
        setOpen(false);
        setFault(undefined);
      } else {
        setDraft(query);
        input.current?.blur();
      }
    }
  };
  const hasList = shown.length > 0;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only notices when the focus leaves what is inside
    <div
      className={style.place}
      onBlur={({ currentTarget, relatedTarget }) => {
        if (!currentTarget.contains(relatedTarget)) setOpen(false);
      }}
    >
      <div className={isFocused ? `${style.line} ${style.focused}` : style.line}>
        <Icon name="search" size={15} />
        <div className={style.text}>
          <div ref={colours} className={style.colours} aria-hidden="true">
            <Coloured query={draft} fault={fault} />
          </div>
          <input
            ref={input}
            value={draft}
            role="combobox"
            aria-label="Query"
            aria-expanded={hasList}
            aria-controls={list}
            aria-autocomplete="list"
            aria-activedescendant={hasList && chosen !== undefined ? `${list}-${chosen}` : undefined}
            aria-invalid={fault !== undefined}
            placeholder="Everything: type to search, such as level>=warning ip:203.0.113.0/24"
            spellCheck={false}
            autoComplete="off"
            autoCapitalize="off"
            enterKeyHint="search"
            onChange={({ target }) => change(target.value, target.selectionStart ?? target.value.length)}
            onSelect={({ currentTarget }) => setCursor(currentTarget.selectionStart ?? 0)}
            onScroll={({ currentTarget }) => {
              if (colours.current !== null) colours.current.scrollLeft = currentTarget.scrollLeft;
            }}
            onFocus={() => setFocused(true)}
            onBlur={() => setFocused(false)}
            onKeyDown={pressed}
          />
        </div>
        <span className={`${style.about} wide-only`}>
          {about}
          <kbd>/</kbd>
        </span>
      </div>
      <div
        id={list}
        role="listbox"
        aria-label="Completions"
        className={`${floating.box} ${style.popover}`}
        // Below the word that it completes, while that leaves it room.
        style={{
          left: `min(${Math.max(0, found.from * CHARACTER - (colours.current?.scrollLeft ?? 0))}px, 100% - 420px)`,
        }}
        hidden={!hasList}
      >
        <div className={floating.group} role="presentation">
          {field === undefined ? "Fields" : `Values of ${field}`}
          {field === undefined || counts.size === 0 ? null : <span className={floating.right}>in this time</span>}
        </div>
        {shown.map((item, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the input's, which keeps the focus
          <div
            key={item.text}
            id={`${list}-${index}`}
            role="option"
            tabIndex={-1}
            className={floating.item}
            aria-selected={index === (chosen ?? 0)}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => take(item)}
          >
            <span className="mono cut">
              <Stranger value={item.text} most={120} />
            </span>
            {item.kind === "field" ? <span className="t3 cut">{item.about}</span> : null}
            {counts.has(item.text) ? <span className={floating.right}>{count(counts.get(item.text) ?? 0)}</span> : null}
          </div>
        ))}
        <div className={floating.end} role="presentation">
          <span>
            <kbd>tab</kbd> take
          </span>
          <span>
            <kbd>↵</kbd> run
          </span>
          <span className="wide-only">
            <kbd>-</kbd> before a term leaves it out
          </span>
          {items.length > shown.length ? (
            <span className={floating.right}>{items.length - shown.length} more</span>
          ) : null}
        </div>
      </div>
      {fault === undefined ? null : (
        <div className={`${floating.box} ${style.popover}`} role="alert">
          <p className={style.message}>{fault.message}</p>
          {fault.meant === undefined ? null : <Way kind="Run" query={fault.meant} sign="tab" onTake={run} />}
          <Way kind="Search the text:" query={fault.asText} onTake={run} />
        </div>
      )}
    </div>
  );
}

interface WayProps {
  readonly kind: string;
  readonly query: string;
  readonly sign?: string;
  readonly onTake: (query: string) => void;
}

/** A way out of a fault. */
function Way({ kind, query, sign, onTake }: WayProps): ReactNode {
  return (
    <Button
      kind="quiet"
      className={style.way}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => onTake(query)}
    >
      {kind}
      <span className="mono b cut">
        <Stranger value={query} most={200} />
      </span>
      {sign === undefined ? null : <kbd>{sign}</kbd>}
    </Button>
  );
}

function Coloured({ query, fault }: { readonly query: string; readonly fault: QueryFault | undefined }): ReactNode {
  let at = 0;
  const parts: ReactNode[] = [];
  for (const { text, kind } of tokensOf(query)) {
    const [begin, end] = [at, at + text.length];
    at = end;
    const isWrong = fault !== undefined && fault.at < end && fault.at + Math.max(1, fault.length) > begin;
    parts.push(
      <span key={begin} className={isWrong ? `${style[kind]} ${style.wrong}` : style[kind]}>
        {text}
      </span>,
    );
  }
  if (fault !== undefined && fault.at >= query.length) {
    parts.push(
      <span key="end" className={style.wrong}>
        {"\u00a0"}
      </span>,
    );
  }
  return parts;
}
