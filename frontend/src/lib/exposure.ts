import type { ExposurePoint } from "../api/types";
import { upWords } from "./words";

/** The worst of some spans as one, beginning where the first begins. */
export function worstOf(points: ExposurePoint[]): ExposurePoint {
  const known = points.map((point) => point.seconds).filter((seconds) => seconds !== null);
  return {
    at: points[0]?.at ?? "",
    seconds: known.length > 0 ? Math.max(...known) : null,
    unbounded: points.some((point) => point.unbounded),
    untold: points.some((point) => point.untold),
  };
}

/** What would have been lost in a span: never the figure alone where something had none. */
export function spanWords({ seconds, unbounded, untold }: ExposurePoint): string {
  const words = [unbounded ? "no bound" : "", untold ? "not known" : ""].filter(Boolean).join(" and ");
  if (seconds === null) return words || "nobody looked";
  const figure = `at most ${upWords(seconds)}`;
  return words ? `${words}; of the rest ${figure}` : figure;
}
