/**
 * Specification: "Operational Metrics and Monitoring → Process Performance Metrics". The rows that the platform
 * measures: in words here, as queries in `dashboards`.
 */
export const metricSection = "Operational Metrics and Monitoring → Process Performance Metrics";

/** `above`: a share must be more than it; `belowSeconds`: a duration must be less. The bound itself is a miss. */
export type MetricTarget =
  | { kind: "share"; above: number; numerator: string; denominator: string }
  | { kind: "duration"; belowSeconds: number; from: string; to: string };

export type MetricRow = {
  process: string;
  metric: string;
  frequency: "real-time" | "daily" | "weekly";
  /** Over how long it is judged: long enough for a handful of cars, short enough for its frequency. */
  windowMinutes: number;
  target: MetricTarget;
  /** What is not counted. */
  exclusions: string;
};

// biome-ignore format: one row a line, its target below
export const metricTable = {
  ME7: { process: "OTA activation", metric: "First-attempt success rate", frequency: "real-time", windowMinutes: 15,
    target: { kind: "share", above: 0.95, numerator: "first attempts that the car proved",
      denominator: "first attempts that ended, proved or failed" },
    exclusions: "a deferral (the car drives, its battery is low) and a car that is away are no attempt" },
  ME8: { process: "OTA retry", metric: "Success rate after retries", frequency: "daily", windowMinutes: 1_440,
    target: { kind: "share", above: 0.99, numerator: "activations that became active, at whichever attempt",
      denominator: "activations that became active or were given up after an attempt" },
    exclusions: "denied, not paid, cancelled by the customer, or never attempted because the car stayed away" },
  ME10: { process: "Maintenance status check", metric: "API response time", frequency: "real-time", windowMinutes: 15,
    target: { kind: "duration", belowSeconds: 2, from: "the question to the workshops", to: "their answer, or giving up on it" },
    exclusions: "nothing: silence counts with the time it was waited for" },
} as const satisfies Record<string, MetricRow>;
