/** The path from an event's leaf to the signed root: siblings below it stand left of it, those above right. */
import type { ReactNode } from "react";
import type { ProofStep } from "../../proof/verify-proof.ts";
import style from "./proof.module.css";

const WIDTH = 404;
const HEIGHT = 148;
/** Levels of the tree in a tile (https://c2sp.org/tlog-tiles). */
const TILE = 8;

export function MerklePath({
  steps,
  isFalse,
}: {
  readonly steps: readonly ProofStep[];
  readonly isFalse: boolean;
}): ReactNode {
  const last = Math.max(1, steps.length);
  const x = (step: number): number => 8 + (step / last) * (WIDTH - 16);
  const y = (step: number): number => 122 - (step / last) * 74;
  const bands = Array.from({ length: Math.ceil(last / TILE) }, (_, band) => band);
  return (
    <svg
      className={isFalse ? `${style.merkle} ${style.false}` : style.merkle}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Path of ${steps.length} hashes from this event to the signed root`}
    >
      {bands.map((band) => {
        const from = band === 0 ? 0 : x(band * TILE);
        const to = Math.min(WIDTH, (band + 1) * TILE >= last ? WIDTH : x((band + 1) * TILE));
        return (
          <g key={band}>
            {band % 2 === 0 ? <rect className={style.band} x={from} y="0" width={to - from} height={HEIGHT} /> : null}
            {to - from > 60 ? (
              <text className={style.word} x={from + 8} y="15">
                levels {band * TILE + 1} to {Math.min(last, (band + 1) * TILE)}
              </text>
            ) : null}
          </g>
        );
      })}
      {steps.map(({ side, sibling }, step) => {
        const [left, top] = [x(step) + 2, y(step) + (side === "right" ? -15 : 15)];
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a step's place is its name
          <g key={step}>
            <path className={style.link} d={`M${left} ${top}L${x(step + 1)} ${y(step + 1)}`} />
            <rect className={style.sibling} x={left - 3.5} y={top - 3.5} width="7" height="7" rx="1">
              <title>{`${step + 1}: ${sibling}, ${side}`}</title>
            </rect>
          </g>
        );
      })}
      <path className={style.path} d={`M${x(0)} ${y(0)}L${x(last)} ${y(last)}`} />
      {[...steps.keys(), steps.length].map((step) => (
        <circle
          key={step}
          className={style.node}
          cx={x(step)}
          cy={y(step)}
          r={step === 0 || step === steps.length ? 4.5 : 2}
        />
      ))}
      <text className={style.word} x={x(0) + 14} y="143">
        this event
      </text>
      <text className={style.word} x={WIDTH - 8} y={y(last) - 14} textAnchor="end">
        signed root
      </text>
    </svg>
  );
}
