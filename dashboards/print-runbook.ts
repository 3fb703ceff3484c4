import { alertsFor } from "./alerts.ts";
import { shippedRules } from "./rules-file.ts";

const opening = `# Alerts

Printed by \`npm run docs\` from \`alerts.ts\`; do not edit by hand, a test fails when it is stale. What each means and what to do. _critical_: someone is woken; _warning_: someone looks today.

A share is judged only over a number of cases: one failure in a quiet night wakes no one. Counters are summed over replicas; what each replica reads from the same database is taken once.`;

/** alerts.md, a heading an alert: the rules link to it. */
export function renderRunbook(): string {
  const { windows, steady } = shippedRules;
  const chapters = alertsFor(windows, steady)
    .map(({ name, severity, summary, runbook, rows, for: steadyFor }) => {
      const watched = rows.length === 0 ? "" : ` (${rows.join(", ")})`;
      const words = summary
        .replaceAll(/\{\{ \$value[^}]*\}\}/g, "…")
        .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, "_$1_");
      return `### ${name}\n\n_${severity}_, after ${steadyFor}${watched}: ${words}.\n\n${runbook}`;
    })
    .join("\n\n");
  return `${opening}\n\n${chapters}\n`;
}
