/** A short list of choices that opens below its button: the arrows move, Enter chooses, Escape closes. */
import * as Popover from "@radix-ui/react-popover";
import { type KeyboardEvent, type ReactElement, type ReactNode, useState } from "react";
import floating from "../../parts/floating.module.css";
import { Stranger } from "../../parts/stranger.tsx";

export interface MenuChoice {
  readonly name: string;
  readonly about?: string;
  readonly href: string;
  /** Takes the choice, instead of the browser that follows the address. */
  readonly onChoose?: () => void;
}

export interface MenuProps {
  /** The button. */
  readonly children: ReactElement;
  readonly title: string;
  readonly choices: readonly MenuChoice[];
  readonly align?: "start" | "end";
  /** Absent: the menu keeps it itself. */
  readonly isOpen?: boolean;
  readonly onOpen?: (isOpen: boolean) => void;
}

export function Menu({ children, title, choices, align = "start", isOpen, onOpen }: MenuProps): ReactNode {
  const [own, setOwn] = useState(false);
  const open = isOpen ?? own;
  const set = onOpen ?? setOwn;
  return (
    <Popover.Root open={open} onOpenChange={set}>
      <Popover.Trigger asChild>{children}</Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className={floating.box}
          align={align}
          sideOffset={6}
          collisionPadding={8}
          aria-label={title}
          onOpenAutoFocus={(event) => {
            // Radix passes over links.
            event.preventDefault();
            if (event.currentTarget instanceof Element) event.currentTarget.querySelector("a")?.focus();
          }}
        >
          <div className={floating.group}>{title}</div>
          {/* biome-ignore lint/a11y/noStaticElementInteractions: the arrows move among the links, which have the focus */}
          <div onKeyDown={moveFocus}>
            {choices.map(({ name, about, href, onChoose }) => (
              <a
                key={name}
                href={href}
                className={floating.item}
                {...(onChoose === undefined ? { download: "" } : {})}
                onClick={(event) => {
                  set(false);
                  if (onChoose === undefined || event.metaKey || event.ctrlKey || event.shiftKey) return;
                  event.preventDefault();
                  onChoose();
                }}
              >
                <Stranger value={name} most={60} />
                {about === undefined ? null : <span className={floating.right}>{about}</span>}
              </a>
            ))}
          </div>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0) return;
  event.preventDefault();
  const links = [...event.currentTarget.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement as HTMLAnchorElement);
  links[(at + step + links.length) % links.length]?.focus();
}
