/** Who is signed in, at the foot of the rail. */
import type { ReactNode } from "react";
import { useSession } from "../data/session.ts";
import { Link } from "../routing/link.tsx";
import { hrefOf } from "../routing/place.ts";
import style from "./frame.module.css";

export function SessionMark(): ReactNode {
  const user = useSession().data?.user;
  if (user === undefined || user === null) return null;
  return (
    <Link
      href={hrefOf("/settings")}
      aria-label={`Settings: ${user.name}, ${user.role}`}
      title={`${user.name}, ${user.role}`}
    >
      <span className={style.me}>{user.name.slice(0, 2)}</span>
    </Link>
  );
}
