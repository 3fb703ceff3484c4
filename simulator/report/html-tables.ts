import { escapeText } from "@caas/contract/escape-text.ts";
import type { Comparison } from "./compare.ts";
import { duration, percent } from "./print-report.ts";
import type { RunReport } from "./run-report.ts";

// The tables of the report's page.

export function targetsOf({ targets, profile }: RunReport): string {
  const note = profile.isNormal ? "" : " (not a normal profile)";
  const words = { met: "met", missed: "missed", notMeasured: "not measured" } as const;
  return table(
    `Targets of the specification${note}`,
    ["Process", "Target", "Measured", ""],
    targets.map(({ process, metric, wanted, measured, samples, verdict }) => [
      escapeText(process),
      `${escapeText(metric)} ${escapeText(wanted)}`,
      verdict === "notMeasured" ? `– (${samples})` : `${valueInWords(measured)} (${samples})`,
      `<b class="${verdict}">${words[verdict]}</b>`,
    ]),
  );
}

function valueInWords(measured: number | null): string {
  return measured === null ? "–" : measured <= 1 ? percent(measured) : duration(measured);
}

export function assertionsOf({ assertions }: RunReport): string {
  if (assertions.length === 0) return "";
  return table(
    "Assertions of the scenario",
    ["What", "Wanted", "Measured", ""],
    assertions.map(({ says, wanted, measured, held }) => [
      escapeText(says),
      escapeText(wanted),
      String(measured ?? "–"),
      `<b class="${held ? "met" : "missed"}">${held ? "held" : "missed"}</b>`,
    ]),
  );
}

export function wavesOf({ waves }: RunReport): string {
  return table(
    "Waves",
    ["Wave", "Kind", "Sent", "Applied", "Failed", "Pending", "p50", "p95", "p99"],
    waves.map((wave) => [
      escapeText(wave.wave),
      wave.kind === "bulk" ? "change for many" : "bought",
      String(wave.sent),
      String(wave.applied),
      String(wave.failed),
      String(wave.pending),
      duration(wave.p50Ms),
      duration(wave.p95Ms),
      duration(wave.p99Ms),
    ]),
  );
}

export function kindsOf({ carKinds }: RunReport): string {
  return table(
    "Kinds of cars",
    ["Kind", "Cars", "Applied", "Failed", "Pending"],
    carKinds.map(({ kind, cars, applied, failed, pending }) => [
      escapeText(kind),
      ...[cars, applied, failed, pending].map(String),
    ]),
  );
}

export function linksOf({ links, connecting, reconnecting, attacks, crashes, ...report }: RunReport): string {
  const rows: [string, string][] = [
    ["Connecting", `${connecting.count} times, p99 ${duration(connecting.quantiles.p99Ms)}`],
    [
      "Connecting again",
      reconnecting.count === 0
        ? "never"
        : `${reconnecting.count} times, p99 ${duration(reconnecting.quantiles.p99Ms)}`,
    ],
    ["Changes that wait, and for what", list(report.pendingBecause)],
    ["Lost by the weather", list(links.weather)],
    ["Lost otherwise", list(links.drops)],
    ["Not let in", list(links.notConnected)],
    ["Messages cars refused", list(links.refused)],
    ["Power lost at", list(crashes)],
    ["Attacks by cars", list(attacks)],
    ["Versions applied twice", String(report.doubleApplies)],
    ["Forgeries believed", String(report.forgedAccepted)],
  ];
  return table(
    "Links and faults",
    ["", ""],
    rows.map(([name, value]) => [name, escapeText(value)]),
  );
}

export function peopleOf({ customers, sales }: RunReport): string {
  const rows: [string, string][] = [];
  if (customers !== null && customers.arrived > 0)
    rows.push(
      ["Customers who came", String(customers.arrived)],
      ["Bought", String(customers.bought)],
      ["Found nothing to buy", String(customers.nothingToBuy)],
      ["Denied, as it should be", list(customers.denied)],
      ["Refused or not answered", list(customers.refused)],
      ["A call over REST", `p50 ${duration(customers.rest.p50Ms)}, p99 ${duration(customers.rest.p99Ms)}`],
    );
  if (sales !== null && sales.begun > 0)
    rows.push(
      ["Sales begun", String(sales.begun)],
      ["Cars ready for use", String(sales.operational)],
      ["Of these with their plan's services", String(sales.plansApplied)],
      ["Sales that failed", list(sales.failed)],
      ["Sale to ready", `p50 ${duration(sales.sale.p50Ms)}, p99 ${duration(sales.sale.p99Ms)}`],
      [
        "Sale to credentials",
        `p50 ${duration(sales.credentials.p50Ms)}, p99 ${duration(sales.credentials.p99Ms)}`,
      ],
    );
  if (rows.length === 0) return "";
  return table(
    "Customers and sales",
    ["", ""],
    rows.map(([name, value]) => [name, escapeText(value)]),
  );
}

export function comparisonOf({ earlier, rows }: Comparison): string {
  return table(
    `Compared with ${earlier}`,
    ["", "Then", "Now", "Change"],
    rows.map(({ name, before, now, change, tone }) => [
      escapeText(name),
      before,
      now,
      `<b class="${tone === "better" ? "met" : tone === "worse" ? "missed" : "notMeasured"}">${change}</b>`,
    ]),
  );
}

function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const body =
    rows.length === 0
      ? `<tr><td class="muted" colspan="${head.length}">nothing</td></tr>`
      : rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("");
  const heading = head.some((name) => name !== "")
    ? `<thead><tr>${head.map((name) => `<th>${name}</th>`).join("")}</tr></thead>`
    : "";
  return `<div class="table"><h2>${title}</h2><table>${heading}<tbody>${body}</tbody></table></div>`;
}

function list(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).toSorted(([, left], [, right]) => right - left);
  return entries.length === 0 ? "none" : entries.map(([name, count]) => `${name} ${count}`).join(", ");
}
