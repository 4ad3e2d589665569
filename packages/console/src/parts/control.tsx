/** Buttons, and links that look like them. */
import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Link, type LinkProps } from "../routing/link.tsx";
import style from "./control.module.css";
import { Icon, type IconName } from "./icon.tsx";

type Kind = "plain" | "quiet" | "primary" | "danger" | "link";

interface Look {
  /** One `primary` a page. @default "plain" */
  readonly kind?: Kind;
  readonly icon?: IconName;
  /** Without words: give a `label`. */
  readonly label?: string;
}

export type ButtonProps = Look & ButtonHTMLAttributes<HTMLButtonElement>;

export function Button({
  kind = "plain",
  icon,
  label,
  children,
  className,
  type = "button",
  ...rest
}: ButtonProps): ReactNode {
  return (
    <button
      {...rest}
      type={type}
      className={classOf(kind, children === undefined, className)}
      {...(label === undefined ? {} : { "aria-label": label, title: label })}
    >
      {icon === undefined ? null : <Icon name={icon} size={14} />}
      {children}
    </button>
  );
}

export function ButtonLink({ kind = "plain", icon, label, children, className, ...rest }: Look & LinkProps): ReactNode {
  return (
    <Link
      {...rest}
      className={classOf(kind, children === undefined, className)}
      {...(label === undefined ? {} : { "aria-label": label, title: label })}
    >
      {icon === undefined ? null : <Icon name={icon} size={14} />}
      {children}
    </Link>
  );
}

function classOf(kind: Kind, isIcon: boolean, more = ""): string {
  if (kind === "link") return `link ${more}`;
  return [style.control, style[kind], isIcon ? style.icon : "", more].filter(Boolean).join(" ");
}

/** The signs of a key. */
export function Keys({ signs }: { readonly signs: readonly string[] }): ReactNode {
  return signs.map((sign) => <kbd key={sign}>{sign}</kbd>);
}
