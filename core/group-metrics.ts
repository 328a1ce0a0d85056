/** Metrics of one table group's loop: every sample says whose it is. Loops of several groups in one process share the metric and nothing else. */
import type { Labels, Metrics } from "./metrics.js";

/** `group`: its name, asked whenever something is measured; it may not be known before. */
export function groupMetrics(metrics: Metrics, group: () => string): Metrics {
  const named = (labels: readonly string[]): readonly string[] => [...new Set([...labels, "group"])];
  const full = (labels: Labels | undefined): Labels => ({ group: group(), ...labels });
  return {
    counter: (name, help, labels = []) => {
      const counter = metrics.counter(name, help, named(labels));
      return { add: (n, given) => counter.add(n, full(given)) };
    },
    gauge: (name, help, labels = []) => {
      const gauge = metrics.gauge(name, help, named(labels));
      return { set: (value, given) => gauge.set(value, full(given)) };
    },
    histogram: (name, help, buckets, labels = []) => {
      const histogram = metrics.histogram(name, help, buckets, named(labels));
      return { observe: (value, given) => histogram.observe(value, full(given)) };
    },
  };
}
