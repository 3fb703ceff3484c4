import { escapeText } from "@caas/contract/escape-text.ts";
import { barChart, lineChart, stackedBars } from "./charts.ts";
import type { Comparison } from "./compare.ts";
import { assertionsOf, comparisonOf, kindsOf, linksOf, peopleOf, targetsOf, wavesOf } from "./html-tables.ts";
import { duration, percent, processesOf } from "./print-report.ts";
import type { RunReport } from "./run-report.ts";
import { styleSheet } from "./style-sheet.ts";

/** One page that needs nothing else: no script, no address, plots as SVG. */
export function renderPage(report: RunReport, comparison: Comparison | null): string {
  const { numbers, scenario, profile } = report;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(scenario.name)}: ${numbers.vehicles} cars, ${report.verdict}</title>
<style>${styleSheet}</style>
</head>
<body>
<main>
<header class="${report.verdict}">
<div>
<h1>${escapeText(scenario.name)}</h1>
<p>${escapeText(scenario.describes)}</p>
<p class="muted">${numbers.vehicles.toLocaleString("en")} real agents in ${processesOf(report)} · ${escapeText(profile.name)}: ${escapeText(profile.describes)} · ${escapeText(report.world)}<br>${escapeText(report.startedAt.slice(0, 16).replace("T", " "))} UTC, ${report.seconds} s</p>
</div>
<p class="verdict">${report.verdict === "held" ? "Held" : "Missed"}</p>
</header>
${missesOf(report)}
${tilesOf(report)}
${plotsOf(report)}
${comparison === null ? "" : comparisonOf(comparison)}
<section class="columns">
${targetsOf(report)}
${assertionsOf(report)}
</section>
${wavesOf(report)}
<section class="columns">
${kindsOf(report)}
${linksOf(report)}
</section>
${peopleOf(report)}
<footer>
<h2>Again</h2>
<pre>${escapeText(report.command)}</pre>
<p class="muted">Seed ${report.seed} · ${Object.entries(report.machine)
    .map(([name, value]) => `${escapeText(name)} ${escapeText(String(value))}`)
    .join(
      " · ",
    )} · latency runs from when a change was meant to begin (open loop) to the car's proof; the cars' own processes were late by at most ${duration(report.generatorLagMs)}.</p>
</footer>
</main>
</body>
</html>
`;
}

function missesOf({ misses }: RunReport): string {
  if (misses.length === 0) return "";
  return `<ul class="misses">${misses.map((miss) => `<li>${escapeText(miss)}</li>`).join("")}</ul>`;
}

function tilesOf({ numbers, successAfterRetries, latency }: RunReport): string {
  const { activations } = numbers;
  const tiles: [string, string, string][] = [
    [
      "Connected",
      numbers.connected.toLocaleString("en"),
      `of ${numbers.vehicles.toLocaleString("en")}, ${numbers.connectsPerSecond}/s`,
    ],
    [
      "Applied",
      activations.applied.toLocaleString("en"),
      `of ${activations.sent.toLocaleString("en")}, ${activations.pending} pending`,
    ],
    ["First attempt", percent(numbers.firstAttemptSuccess), `after retries ${percent(successAfterRetries)}`],
    ["Median", duration(latency.quantiles.p50Ms), "meant to begin → proved"],
    ["p95", duration(latency.quantiles.p95Ms), ""],
    ["p99", duration(latency.quantiles.p99Ms), `longest ${duration(latency.quantiles.maxMs)}`],
    ["Links lost", String(numbers.drops), "by no weather"],
    ["Memory", `${numbers.kbPerCar} KB`, "a car, simulator"],
  ];
  return `<section class="tiles">${tiles
    .map(([name, value, note]) => `<div><h3>${name}</h3><p>${value}</p><small>${note}</small></div>`)
    .join("")}</section>`;
}

function plotsOf({ series, latency, waves, failures, numbers }: RunReport): string {
  const at = series.map(({ atS }) => atS);
  const plots: [string, string][] = [
    [
      "Connected cars",
      lineChart({
        x: at,
        lines: [
          { name: "connected", values: series.map(({ connected }) => connected), tone: 1, isFilled: true },
        ],
        yMax: numbers.vehicles,
      }),
    ],
    [
      "Changes a second",
      lineChart({
        x: at,
        lines: [
          { name: "sent", values: perSecond(series, "sent"), tone: 4 },
          { name: "applied", values: perSecond(series, "applied"), tone: 1 },
          { name: "failed", values: perSecond(series, "failed"), tone: 2 },
        ],
      }),
    ],
    [
      "Latency over time",
      lineChart({
        x: at,
        lines: [
          { name: "p99", values: series.map(({ p99Ms }) => p99Ms), tone: 3 },
          { name: "p50", values: series.map(({ p50Ms }) => p50Ms), tone: 1 },
        ],
        isLogarithmic: true,
        formatY: duration,
      }),
    ],
    [
      "How long changes took",
      barChart({
        bars: latency.bars.map(({ upToMs, count }) => ({ label: duration(upToMs), value: count })),
        marks: [
          { name: "p50", at: positionOf(latency.bars, latency.quantiles.p50Ms) },
          { name: "p95", at: positionOf(latency.bars, latency.quantiles.p95Ms) },
          { name: "p99", at: positionOf(latency.bars, latency.quantiles.p99Ms) },
        ],
      }),
    ],
    [
      "Success by wave",
      stackedBars(
        waves.map(({ wave, sent, applied, failed, pending }) => ({
          label: wave,
          note: `${applied} of ${sent}`,
          parts: [
            { name: "applied", value: applied, tone: 1 },
            { name: "failed", value: failed, tone: 2 },
            { name: "pending", value: pending, tone: 4 },
          ],
        })),
      ),
    ],
    [
      "Why attempts failed",
      stackedBars(
        Object.entries(failures)
          .toSorted(([, left], [, right]) => right - left)
          .map(([reason, count]) => ({
            label: reason,
            parts: [{ name: "attempts", value: count, tone: 2 }],
          })),
      ),
    ],
  ];
  return `<section class="plots">${plots
    .map(([title, svg]) => `<figure><figcaption>${title}</figcaption>${svg}</figure>`)
    .join("")}</section>`;
}

/** Points of a long run cover more than a second. */
function perSecond(series: RunReport["series"], what: "sent" | "applied" | "failed"): number[] {
  return series.map((point, index) => {
    const seconds = Math.max(0.5, point.atS - (series[index - 1]?.atS ?? 0));
    return Math.round((point[what] / seconds) * 10) / 10;
  });
}

/** Where on the bars a value lies, in bars. */
function positionOf(bars: RunReport["latency"]["bars"], ms: number | null): number | null {
  if (ms === null) return null;
  const index = bars.findIndex(({ upToMs }) => ms <= upToMs);
  return index === -1 ? null : index + 0.5;
}
