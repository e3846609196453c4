import type { ExposurePoint } from "../api/types";

/** The worst of some spans as one, beginning where the first begins. */
export function worstOf(points: ExposurePoint[]): ExposurePoint {
  const known = points.map((point) => point.seconds).filter((seconds) => seconds !== null);
  return {
    at: points[0]?.at ?? "",
    seconds: known.length > 0 ? Math.max(...known) : null,
    unbounded: points.some((point) => point.unbounded),
  };
}
