import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { ExposureOverTime } from "../api/types";
import { upWords } from "../lib/words";

const HEIGHT = 260;

/** Exposure over time against the target. Decoration for the eye: the card beneath says the same in words and figures. */
export function ExposureChart({ given }: { given: ExposureOverTime }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const plot = new uPlot(options(element, given), dataOf(given), element);
    const watch = new ResizeObserver(() => plot.setSize({ width: widthOf(element), height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [given]);
  return <div ref={place} className="dr-chart" aria-hidden="true" />;
}

/** Hours as the rest of the portal writes them; beneath, the day or the year where another one begins. */
const TIMES: uPlot.Axis.Values = [
  [86_400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

/** What the legend says of a value; nothing where nothing is pointed at. */
const told =
  (say: (value: number) => string, none: string) =>
  (_plot: uPlot, value: number | null, _series: number, index: number | null) =>
    index === null ? "" : value === null ? none : say(value);

const widthOf = (element: HTMLElement) => Math.max(280, element.clientWidth);

function dataOf({ points, target_s }: ExposureOverTime): uPlot.AlignedData {
  const top = Math.max(target_s ?? 0, 1, ...points.map((point) => point.seconds ?? 0));
  return [
    points.map((point) => Date.parse(point.at) / 1000),
    points.map((point) => point.seconds),
    points.map(() => target_s),
    points.map((point) => (point.unbounded ? top : null)),
    points.map((point) => (point.untold ? top : null)),
  ];
}

function options(element: HTMLElement, { step_s }: ExposureOverTime): uPlot.Options {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(`--pf-t--global--${name}`).trim();
  const grid = { stroke: token("border--color--default"), width: 1 };
  const axis = { stroke: style.color, grid, ticks: grid };
  return {
    width: widthOf(element),
    height: HEIGHT,
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(10, high * 1.1)] } },
    axes: [
      { ...axis, values: TIMES },
      { ...axis, size: 70, values: (_plot, ticks) => ticks.map((tick) => upWords(tick)) },
    ],
    series: [
      { label: "When", value: "{D} {MMM} {YYYY}, {HH}:{mm}" },
      {
        label: "At most lost",
        stroke: token("icon--color--status--info--default"),
        fill: `${token("icon--color--status--info--default")}22`,
        width: 2,
        points: { show: step_s > 300 },
        value: told(upWords, "not known"),
      },
      {
        label: "Target",
        stroke: token("icon--color--status--warning--default"),
        dash: [8, 4],
        width: 2,
        points: { show: false },
        value: told(upWords, "none agreed"),
      },
      {
        label: "No bound",
        stroke: token("icon--color--status--danger--default"),
        paths: () => null,
        points: { show: true, size: 7, fill: token("icon--color--status--danger--default") },
        value: told(() => "yes", "no"),
      },
      {
        label: "Not known",
        stroke: token("icon--color--subtle"),
        paths: () => null,
        points: { show: true, size: 7, fill: token("icon--color--subtle") },
        value: told(() => "yes", "no"),
      },
    ],
  };
}
