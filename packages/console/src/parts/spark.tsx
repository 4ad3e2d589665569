/** A line the size of a word. */
import type { ReactNode } from "react";
import style from "./spark.module.css";

export function Spark({
  values,
  width = 44,
  height = 16,
}: {
  readonly values: readonly number[];
  readonly width?: number;
  readonly height?: number;
}): ReactNode {
  const most = Math.max(1, ...values);
  const x = (at: number): string => ((at / Math.max(1, values.length - 1)) * (width - 4) + 1).toFixed(1);
  const y = (value: number): string => (height - 2 - (value / most) * (height - 4)).toFixed(1);
  const path = values.map((value, at) => `${x(at)} ${y(value)}`).join("L");
  return (
    <svg className={style.spark} width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path className={style.area} d={`M1 ${height}L${path}L${width - 3} ${height}z`} />
      <path className={style.line} d={`M${path}`} />
      <circle className={style.end} cx={x(values.length - 1)} cy={y(values.at(-1) ?? 0)} r="1.8" />
    </svg>
  );
}
