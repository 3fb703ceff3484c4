import { Document } from "yaml";
import { type Alert, alertsFor, type Steady } from "./alerts.ts";
import { expressionsFor, shippedWindows, type Windows } from "./expressions.ts";

// Prometheus' rule file, printed: recording rules that keep the specification's figures, and alerts.

export type RuleFileOptions = { windows: Windows; steady: Steady };

/** As shipped: five minutes outlast a short storm. */
export const shippedRules: RuleFileOptions = {
  windows: shippedWindows,
  steady: { urgent: "1m", short: "5m", long: "10m" },
};

/** Recorded under names of their own, so that boards and reports draw them over months at little cost. */
export function recordingsFor(windows: Windows): readonly { record: string; expr: string }[] {
  const ask = expressionsFor(windows);
  return [
    { record: "caas:first_attempt_success:ratio", expr: ask.firstAttemptSuccess },
    { record: "caas:success_after_retries:ratio", expr: ask.successAfterRetries },
    { record: "caas:activation_seconds:p99", expr: ask.activationQuantile(0.99) },
  ];
}

/** The YAML text; the same code prints it with shorter times for a test that cannot wait a day. */
export function renderRuleFile({ windows, steady }: RuleFileOptions): string {
  const document = new Document({
    groups: [
      { name: "caas-recordings", rules: recordingsFor(windows) },
      { name: "caas-alerts", rules: alertsFor(windows, steady).map(toRule) },
    ],
  });
  document.commentBefore =
    " Printed by `npm run docs` from dashboards/alerts.ts; do not edit by hand, a test fails when it is stale.\n What to do about each alert: dashboards/alerts.md.";
  return document.toString({ lineWidth: 0 });
}

function toRule({ name, expr, for: steadyFor, severity, summary }: Alert) {
  return {
    alert: name,
    expr,
    for: steadyFor,
    labels: { severity },
    annotations: {
      summary,
      runbook: `dashboards/alerts.md#${name.toLowerCase()}`,
    },
  };
}
