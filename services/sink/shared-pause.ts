/** Counters of several loops add up; the one gauge they share is 1 while any of them is paused. */
import type { Metrics } from "../../core/metrics.js";

export function sharedPause(metrics: Metrics): () => Metrics {
  const paused = new Set<object>();
  return () => {
    const loop = {};
    return {
      ...metrics,
      counter: (...declared) => metrics.counter(...declared),
      histogram: (...declared) => metrics.histogram(...declared),
      gauge: (...declared) => {
        const gauge = metrics.gauge(...declared);
        return {
          set: (value, labels) => {
            if (value === 1) paused.add(loop);
            else paused.delete(loop);
            gauge.set(value === null ? null : Math.min(paused.size, 1), labels);
          },
        };
      },
    };
  };
}
