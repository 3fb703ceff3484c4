import { metricTable } from "@caas/control-plane/rules/metric-table.ts";
import { ReduceDataOptionsBuilder } from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatPanel } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimePanel } from "@grafana/grafana-foundation-sdk/timeseries";
import { expressionsFor, shippedWindows } from "./expressions.ts";

// The board of activations and fleet: whether customers get what they buy, how fast, why not, and which cars are there.

/** `{{label}}` is Grafana's template. */
type Line = { expr: string; legend: string };

const datasource = { type: "prometheus", uid: "caas-prometheus" };
const third = 8; // of the 24 columns of a board
const half = 12;
const statHeight = 5;
const plotHeight = 9;

const ask = expressionsFor(shippedWindows);
const { ME7, ME8 } = metricTable;

export function buildBoard() {
  return new DashboardBuilder("Car-as-a-Service: activations and fleet")
    .uid("caas-activations")
    .tags(["car-as-a-service"])
    .refresh("10s")
    .time({ from: "now-1h", to: "now" })
    .timezone("browser")
    .readonly()
    .withRow(new RowBuilder("Do customers get what they buy?"))
    .withPanel(
      share("First attempt", "of first attempts that ended", ask.firstAttemptSuccess, ME7.target.above),
    )
    .withPanel(
      share(
        "After retries",
        "of activations that ended, in a day",
        ask.successAfterRetries,
        ME8.target.above,
      ),
    )
    .withPanel(
      zeroIsGood("Broken promises", "money without service, service without money", [
        { expr: ask.violations, legend: "{{invariant}}" },
      ]),
    )
    .withPanel(plot("How activations end", "ops", half, [{ expr: ask.outcomeRate, legend: "{{outcome}}" }]))
    .withPanel(
      plot("Failed attempts by reason", "ops", half, [{ expr: ask.failureRate, legend: "{{reason}}" }]),
    )
    .withPanel(
      plot(
        "From the hold to the car's proof",
        "s",
        half,
        [0.5, 0.95, 0.99].map((part) => ({ expr: ask.activationQuantile(part), legend: `p${part * 100}` })),
      ),
    )
    .withPanel(
      plot("Activations by state", "short", half, [{ expr: ask.activationsByState, legend: "{{state}}" }]),
    )
    .withRow(new RowBuilder("The fleet"))
    .withPanel(
      plot("Cars", "short", third, [
        { expr: ask.carsOnline, legend: "known to be online" },
        { expr: ask.connectedClients, legend: "connected, {{transport}}" },
        { expr: ask.manifestsDue, legend: "a manifest is due" },
      ]),
    )
    .withPanel(
      plot("Connections", "ops", third, [
        { expr: ask.connectRate, legend: "accepted" },
        { expr: ask.connectRefusals, legend: "refused: {{reason}}" },
      ]),
    )
    .withPanel(
      plot("Messages", "ops", third, [
        { expr: ask.manifestRate, legend: "manifests sent" },
        { expr: ask.messageRate, legend: "messages taken in" },
      ]),
    )
    .withRow(new RowBuilder("What waits, and for whom"))
    .withPanel(
      plot("Oldest broken promise", "s", third, [{ expr: ask.oldestViolation, legend: "{{invariant}}" }]),
    )
    .withPanel(
      plot("Borne on purpose for a while", "short", third, [
        { expr: ask.tolerated, legend: "{{invariant}}, {{reason}}" },
      ]),
    )
    .withPanel(plot("Maintenance check", "s", third, [{ expr: ask.checkQuantile(0.95), legend: "p95" }]))
    .withPanel(plot("Jobs that wait", "short", third, [{ expr: ask.waitingJobs, legend: "{{task}}" }]))
    .withPanel(
      plot("Jobs out of attempts", "short", third, [{ expr: ask.exhaustedJobs, legend: "{{task}}" }]),
    )
    .withPanel(plot("Tasks for people", "short", third, [{ expr: ask.openTasks, legend: "{{team}}" }]))
    .build();
}

export function renderBoard(): string {
  return `${JSON.stringify(buildBoard(), null, 2)}\n`;
}

function query({ expr, legend }: Line): DataqueryBuilder {
  return new DataqueryBuilder().expr(expr).legendFormat(legend).datasource(datasource);
}

function plot(title: string, unit: string, width: number, lines: readonly Line[]): TimePanel {
  const panel = new TimePanel()
    .title(title)
    .unit(unit)
    .min(0)
    .span(width)
    .height(plotHeight)
    .datasource(datasource);
  for (const line of lines) panel.withTarget(query(line));
  return panel;
}

/** Red at its target and below, as the table's "more than" says. */
function share(title: string, of: string, expr: string, above: number): StatPanel {
  return new StatPanel()
    .title(title)
    .description(`${of}; target: more than ${above * 100} %`)
    .unit("percentunit")
    .decimals(2)
    .min(0)
    .max(1)
    .span(third)
    .height(statHeight)
    .datasource(datasource)
    .reduceOptions(newest())
    .noValue("nothing ended")
    .thresholds(
      steps([
        { value: null, color: "red" },
        { value: above, color: "green" },
      ]),
    )
    .withTarget(query({ expr, legend: title }));
}

function zeroIsGood(title: string, description: string, lines: readonly Line[]): StatPanel {
  const panel = new StatPanel()
    .title(title)
    .description(description)
    .unit("short")
    .span(third)
    .height(statHeight)
    .datasource(datasource)
    .reduceOptions(newest())
    .thresholds(
      steps([
        { value: null, color: "green" },
        { value: 1, color: "red" },
      ]),
    );
  for (const line of lines) panel.withTarget(query(line));
  return panel;
}

function newest(): ReduceDataOptionsBuilder {
  return new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false);
}

function steps(list: { value: number | null; color: string }[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(list);
}
