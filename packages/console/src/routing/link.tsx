/** A link to a place of the console: an ordinary one, which a click follows without loading the page again. */
import type { AnchorHTMLAttributes, MouseEvent, ReactNode } from "react";
import { goTo } from "./place.ts";

export interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href" | "onClick"> {
  /** An address of `hrefOf`. */
  readonly href: string;
}

export function Link({ href, children, ...rest }: LinkProps): ReactNode {
  return (
    <a {...rest} href={href} onClick={(event) => follow(event, href)}>
      {children}
    </a>
  );
}

function follow(event: MouseEvent, href: string): void {
  // A new tab, a download and the like are the browser's.
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  goTo(href);
}
