/** Every key that works on this page. */
import { type ReactNode, useState } from "react";
import { type KeyBinding, keySigns, lettersAct, setLetters, useBindings } from "../keyboard/keys.ts";
import { Keys } from "../parts/control.tsx";
import { Dialog } from "../parts/dialog.tsx";
import floating from "../parts/floating.module.css";
import style from "./frame.module.css";

const GROUPS: readonly KeyBinding["group"][] = ["Go", "In a list", "Query", "Explore", "Event", "Page"];

export function KeySheet({ onClose }: { readonly onClose: () => void }): ReactNode {
  const bindings = useBindings();
  const [act, setAct] = useState(lettersAct);
  return (
    <Dialog label="Keyboard" wide onClose={onClose}>
      <div className={floating.input}>
        <span className="b s12">Keyboard</span>
        <span className="t3 s12">the footer shows what works here</span>
      </div>
      <div className={style.columns}>
        {GROUPS.map((group) => {
          const own = bindings.filter((binding) => binding.group === group);
          return own.length === 0 ? null : (
            <div key={group}>
              <div className={floating.group}>{group}</div>
              {own.map(({ keys, label }) => (
                <div key={keys} className={style.key}>
                  <span>{label}</span>
                  <span>
                    <Keys signs={keySigns(keys)} />
                  </span>
                </div>
              ))}
            </div>
          );
        })}
      </div>
      <div className={floating.end}>
        <label>
          <input
            type="checkbox"
            checked={act}
            onChange={({ target }) => {
              setLetters(target.checked);
              setAct(target.checked);
            }}
          />{" "}
          single letters act
        </label>
      </div>
    </Dialog>
  );
}
