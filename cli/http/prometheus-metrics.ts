/** core/metrics.ts on prom-client: what services count, as Prometheus text. A gauge set to null leaves no sample behind. */
import { collectDefaultMetrics, Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from "prom-client";
import type { Counter, Gauge, Histogram, Metrics } from "../../core/metrics.js";

export interface HostedMetrics extends Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

const loopLookMs = 500;

export function prometheusMetrics(labels: Readonly<Record<string, string>>): HostedMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ ...labels });
  // A timer that often for as long as the process runs: prom-client's own 10 ms take half a percent of a core of a service that has nothing to do.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: loopLookMs });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    counter: (name, help, labelNames = []) => counterOf(registry, { name, help, labelNames }),
    gauge: (name, help, labelNames = []) => gaugeOf(registry, { name, help, labelNames }),
    histogram: (name, help, buckets, labelNames = []) => histogramOf(registry, { name, help, buckets, labelNames }),
  };
}

interface Declared {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** Asking twice for a name gives the same metric: a service that starts its session again goes on counting. */
function counterOf(registry: Registry, { name, help, labelNames }: Declared): Counter {
  const known = registry.getSingleMetric(name);
  const counter =
    known instanceof PromCounter ? known : new PromCounter({ name, help, labelNames: [...labelNames], registers: [registry] });
  return {
    add: (n, labels) => (labels === undefined ? counter.inc(n) : counter.inc({ ...labels }, n)),
  };
}

function gaugeOf(registry: Registry, { name, help, labelNames }: Declared): Gauge {
  const known = registry.getSingleMetric(name);
  const gauge = known instanceof PromGauge ? known : new PromGauge({ name, help, labelNames: [...labelNames], registers: [registry] });
  // prom-client gives a gauge without labels a 0 from the start: a number nobody has measured.
  if (labelNames.length === 0 && known === undefined) gauge.remove();
  return {
    set: (value, labels) => {
      if (value === null) gauge.remove({ ...labels });
      else if (labels === undefined) gauge.set(value);
      else gauge.set({ ...labels }, value);
    },
  };
}

function histogramOf(
  registry: Registry,
  { name, help, buckets, labelNames }: Declared & { readonly buckets: readonly number[] },
): Histogram {
  const known = registry.getSingleMetric(name);
  const histogram =
    known instanceof PromHistogram
      ? known
      : new PromHistogram({ name, help, buckets: [...buckets], labelNames: [...labelNames], registers: [registry] });
  return {
    observe: (value, labels) => (labels === undefined ? histogram.observe(value) : histogram.observe({ ...labels }, value)),
  };
}
