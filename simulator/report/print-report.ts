import { sumOf } from "./make-report.ts";
import type { RunReport } from "./run-report.ts";

/** A report for the terminal, line by line. */
export function printReport(report: RunReport): string[] {
  const { numbers, latency } = report;
  const { activations } = numbers;
  return [
    "",
    `${report.scenario.name}: ${report.scenario.describes}`,
    `${numbers.vehicles.toLocaleString("en")} cars (${report.profile.name}: ${report.profile.describes}) in ${processesOf(report)}, ${report.seconds} s`,
    "",
    row("connected", `${numbers.connected} at the end; ${numbers.connectsPerSecond} connects a second`),
    row("connecting took", quantiles(report.connecting.quantiles)),
    ...(report.reconnecting.count > 0
      ? [
          row(
            "connecting again",
            `${quantiles(report.reconnecting.quantiles)} (${report.reconnecting.count} times)`,
          ),
        ]
      : []),
    row(
      "links lost",
      `${numbers.drops}${list(report.links.drops)}; ${sumOf(report.links.weather)} by the weather${list(report.links.weather)}`,
    ),
    ...(sumOf(report.links.notConnected) > 0
      ? [row("not connected", list(report.links.notConnected).trim())]
      : []),
    row(
      "changes",
      `${activations.sent} sent: ${activations.applied} applied, ${activations.failed} failed, ${activations.pending} pending${list(report.pendingBecause)}`,
    ),
    row("first attempt", percent(numbers.firstAttemptSuccess)),
    row("after retries", percent(report.successAfterRetries)),
    row("meant to begin → proved", quantiles(latency.quantiles)),
    ...(sumOf(report.failures) > 0 ? [row("failed attempts", list(report.failures).trim())] : []),
    ...report.waves.map((wave) =>
      row(
        `  ${wave.wave}`,
        `${wave.sent} sent, ${wave.applied} applied, ${wave.failed} failed, ${wave.pending} pending; ${quantiles(wave)}`,
      ),
    ),
    ...customerLines(report),
    ...(sumOf(report.attacks) > 0 ? [row("attacks by cars", list(report.attacks).trim())] : []),
    ...(sumOf(report.links.refused) > 0 ? [row("refused by cars", list(report.links.refused).trim())] : []),
    ...(sumOf(report.crashes) > 0 ? [row("power lost", list(report.crashes).trim())] : []),
    row("applied twice, forgeries believed", `${report.doubleApplies}, ${report.forgedAccepted}`),
    row(
      "memory",
      `${numbers.kbPerCar} KB a car; the cars' processes were late by ${report.generatorLagMs} ms at most`,
    ),
    "",
    `Targets of the specification${report.profile.isNormal ? "" : " (this profile is not a normal one)"}`,
    ...report.targets.map(({ process, metric, wanted, measured, samples, verdict }) =>
      row(
        `  ${process}`,
        `${metric} ${wanted}: ${verdict === "notMeasured" ? "not measured" : `${verdict}, ${inWords(measured)}`} (${samples})`,
      ),
    ),
    ...(report.assertions.length > 0 ? ["Assertions of the scenario"] : []),
    ...report.assertions.map(
      ({ says, wanted, measured, held }) =>
        `  ${held ? "held  " : "MISSED"} ${says}: ${measured ?? "not measured"} (${wanted})`,
    ),
    "",
    ...report.misses.map((miss) => `Missed: ${miss}`),
    ...(report.plan === "" ? [] : [`Plan ${report.plan}`]),
    `Verdict: ${report.verdict}. Again: ${report.command}`,
  ];
}

export function processesOf({ processes }: Pick<RunReport, "processes">): string {
  return processes === 1 ? "one process" : `${processes} processes`;
}

function customerLines({ customers, sales }: RunReport): string[] {
  const lines: string[] = [];
  if (customers !== null && customers.arrived > 0)
    lines.push(
      row(
        "customers",
        `${customers.arrived} came, ${customers.bought} bought, ${customers.nothingToBuy} found nothing` +
          `; denied ${sumOf(customers.denied)}${list(customers.denied)}; refused ${sumOf(customers.refused)}${list(customers.refused)}` +
          `; REST ${quantiles(customers.rest)}`,
      ),
    );
  if (sales !== null && sales.begun > 0)
    lines.push(
      row(
        "sales",
        `${sales.operational} of ${sales.begun} cars ready for use${list(sales.failed)}; ${quantiles(sales.sale)}; ` +
          `${sales.plansApplied} with their plan's services`,
      ),
    );
  return lines;
}

function row(name: string, text: string): string {
  return `${name.padEnd(26)} ${text}`;
}

export function percent(share: number | null): string {
  return share === null ? "not measured" : `${(share * 100).toFixed(2)} %`;
}

function inWords(measured: number | null): string {
  if (measured === null) return "nothing";
  return measured <= 1 ? percent(measured) : duration(measured);
}

export function duration(ms: number | null): string {
  if (ms === null) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${Number((ms / 1_000).toPrecision(3))} s` : `${(ms / 60_000).toFixed(1)} min`;
}

function quantiles({ p50Ms, p95Ms, p99Ms }: RunReport["latency"]["quantiles"]): string {
  if (p50Ms === null) return "not measured";
  return `p50 ${duration(p50Ms)}, p95 ${duration(p95Ms)}, p99 ${duration(p99Ms)}`;
}

/** ` (a 3, b 1)`, the most frequent first; nothing for nothing. */
function list(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).toSorted(([, left], [, right]) => right - left);
  return entries.length === 0 ? "" : ` (${entries.map(([name, count]) => `${name} ${count}`).join(", ")})`;
}
