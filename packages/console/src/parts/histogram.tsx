/** Events over time as stacked bars, by uPlot. A brush chooses a part of the time. */
import type { TimelineResult } from "@seclog/api";
import { type ReactNode, useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { localTime } from "../data/clock.ts";
import { count } from "../data/numbers.ts";
import { useThemeName } from "../data/theme.ts";
import style from "./histogram.module.css";
import { tokenColour } from "./tokens.ts";

/** From the bottom of a bar to its top. */
const STACK = ["info", "warning", "error", "critical"] as const;

export interface HistogramProps {
  readonly timeline: TimelineResult;
  /** Without scales, for the space above rows. @default false */
  readonly mini?: boolean;
  /** The part that is marked, in milliseconds. */
  readonly marked?: { readonly from: number; readonly to: number } | undefined;
  /** Takes the part that a person drew, in milliseconds; absent: no brush. */
  readonly onBrush?: (from: number, to: number) => void;
}

export function Histogram({ timeline, mini = false, marked, onBrush }: HistogramProps): ReactNode {
  const place = useRef<HTMLDivElement>(null);
  const brushed = useRef(onBrush);
  brushed.current = onBrush;
  const [at, setAt] = useState<number | null>(null);
  const theme = useThemeName();
  const canBrush = onBrush !== undefined;
  const [from, to] = [marked?.from, marked?.to];
  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme names the colours, which a canvas must be given again
  useEffect(() => {
    const element = place.current;
    if (element === null || timeline.buckets.length === 0) return;
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: element.clientHeight,
        ...optionsOf(timeline, mini, canBrush, (begin, end) => brushed.current?.(begin, end), setAt),
      },
      stacked(timeline, element.clientHeight),
      element,
    );
    if (from !== undefined && to !== undefined) mark(plot, from, to);
    const observer = new ResizeObserver(() => {
      plot.setSize({ width: element.clientWidth, height: element.clientHeight });
      if (from !== undefined && to !== undefined) mark(plot, from, to);
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [timeline, mini, canBrush, from, to, theme]);
  const total = timeline.buckets.reduce((sum, bucket) => sum + bucket.events, 0);
  const hovered = at === null ? undefined : timeline.buckets[at];
  return (
    <div className={mini ? `${style.chart} ${style.mini}` : style.chart}>
      <div ref={place} className={style.plot} role="img" aria-label={`${count(total)} events over time, by level`} />
      {hovered === undefined ? null : (
        <div className={style.readout} aria-hidden="true">
          {localTime(hovered.start).day.slice(5)} {localTime(hovered.start).time.slice(0, 5)}{" "}
          <b>{count(hovered.events)}</b>
          {[...STACK].reverse().map((level) =>
            (hovered.by[level] ?? 0) > 0 ? (
              <span key={level}>
                {level} {count(hovered.by[level] ?? 0)}
              </span>
            ) : null,
          )}
        </div>
      )}
    </div>
  );
}

/** Sums from the bottom up, the tallest first, so that each bar is drawn over the one before. */
function stacked({ buckets }: TimelineResult, height: number): uPlot.AlignedData {
  const most = Math.max(1, ...buckets.map((bucket) => bucket.events));
  // What is rare and bad keeps two pixels.
  const least = (most * 2) / Math.max(20, height - 24);
  const sums = STACK.map((_level, top) =>
    buckets.map(({ by }) =>
      STACK.slice(0, top + 1).reduce((sum, level) => {
        const value = (by[level] ?? 0) + (level === "info" ? (by["debug"] ?? 0) : 0);
        return sum + (value > 0 && (level === "error" || level === "critical") ? Math.max(least, value) : value);
      }, 0),
    ),
  );
  return [buckets.map((bucket) => Date.parse(bucket.start) / 1_000), ...sums.reverse()];
}

function optionsOf(
  timeline: TimelineResult,
  mini: boolean,
  canBrush: boolean,
  onBrush: (from: number, to: number) => void,
  onHover: (at: number | null) => void,
): Omit<uPlot.Options, "width" | "height"> {
  const text = tokenColour("--text-3");
  const grid = { stroke: tokenColour("--line"), width: 1 };
  const font =
    "11px Inter, -apple-system, BlinkMacSystemFont, Segoe UI, Roboto, Noto Sans, Liberation Sans, Arial, sans-serif";
  const paths = uPlot.paths.bars?.({ size: [0.86, 60], align: 1, gap: 1 }) ?? (() => null);
  const step = timeline.step_seconds;
  const first = Date.parse(timeline.buckets[0]?.start ?? "") / 1_000;
  const last = Date.parse(timeline.buckets.at(-1)?.start ?? "") / 1_000 + step;
  return {
    padding: mini ? [4, 2, 0, 2] : [10, 4, 0, 4],
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [first, last] },
      y: { range: (_plot, _least, most) => [0, Math.max(1, most)] },
    },
    axes: [
      {
        stroke: text,
        font,
        size: 18,
        gap: 2,
        space: 84,
        grid: { show: false },
        ticks: { show: false },
        // A label that begins left of the chart would be cut; the next one has the day instead.
        values: (plot, splits) => {
          const shown = splits.map((split) => plot.valToPos(split, "x") >= 40);
          return splits.map((split, index) =>
            shown[index] ? axisTime(split, shown[index - 1] ? splits[index - 1] : undefined) : "",
          );
        },
      },
      mini
        ? { show: false }
        : {
            stroke: text,
            font,
            size: 44,
            gap: 6,
            space: 60,
            grid,
            ticks: { show: false },
            values: (_plot, splits) => splits.map((value) => (Number.isInteger(value) ? count(value) : "")),
          },
    ],
    series: [
      {},
      ...[...STACK].reverse().map((level) => ({
        label: level,
        paths,
        width: 0,
        fill: tokenColour(`--lv-${level}`),
        points: { show: false },
      })),
    ],
    cursor: { y: false, points: { show: false }, drag: { x: canBrush, y: false, setScale: false } },
    hooks: {
      setCursor: [(plot) => onHover(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          // Also called when the page marks a part itself; then nothing was dragged.
          if (plot.cursor.event === undefined || plot.cursor.event === null || plot.select.width < 4) return;
          const from = plot.posToVal(plot.select.left, "x") * 1_000;
          const to = plot.posToVal(plot.select.left + plot.select.width, "x") * 1_000;
          onBrush(Math.floor(from), Math.ceil(to));
        },
      ],
    },
  };
}

/** A time of day, with the day where it changes. */
function axisTime(seconds: number, before: number | undefined): string {
  const at = new Date(seconds * 1_000);
  const { day, time } = localTime(at.toISOString());
  const isNewDay = before === undefined || localTime(new Date(before * 1_000).toISOString()).day !== day;
  if (!isNewDay) return time.slice(0, 5);
  const name = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return time === "00:00:00" ? name : `${name} ${time.slice(0, 5)}`;
}

function mark(plot: uPlot, from: number, to: number): void {
  const left = Math.max(0, plot.valToPos(from / 1_000, "x"));
  const right = Math.min(plot.bbox.width / uPlot.pxRatio, plot.valToPos(to / 1_000, "x"));
  plot.setSelect({ left, top: 0, width: Math.max(0, right - left), height: plot.bbox.height / uPlot.pxRatio }, false);
}
