/** A log without an event of an application: how to get the first one. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import style from "./first-steps.module.css";

const STEPS: readonly { readonly title: string; readonly about: string; readonly code: readonly string[] }[] = [
  {
    title: "Add the library to an application",
    about: "It detects the framework, writes one file and says which lines to add.",
    code: ["npm install seclog", "npx @seclog/server init"],
  },
  {
    title: "Give it the writer's login",
    about: "seclog setup printed the URL. It can add events, and neither read nor change them.",
    code: ["SECLOG_DATABASE_URL=postgresql://… node server.js"],
  },
  {
    title: "Refuse something",
    about: "A method that a path does not have is an event. This page shows it within seconds.",
    code: ["curl -X DELETE http://127.0.0.1:3000/"],
  },
  {
    title: "Seal the log",
    about: "From then on a change of anything stored is found, and each event can be proved.",
    code: [
      "npx @seclog/server keys generate --out log.key --name example.com/shop-log",
      "npx @seclog/server seal --key log.key",
    ],
  },
];

export function FirstSteps(): ReactNode {
  return (
    <Frame title="Overview" hasTime={false} foot="no event yet">
      <div className={style.start}>
        <h2>No application has recorded an event yet</h2>
        <p>The database answers. These are the steps to the first event; the page shows it by itself.</p>
        <ol>
          {STEPS.map(({ title, about, code }, index) => (
            <li key={title} className={style.step}>
              <span className={style.number}>{index + 1}</span>
              <div>
                <h3>{title}</h3>
                <p>{about}</p>
                <pre>{code.join("\n")}</pre>
              </div>
            </li>
          ))}
        </ol>
      </div>
    </Frame>
  );
}
