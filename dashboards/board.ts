import { metricTable } from "@caas/control-plane/rules/metric-table.ts";
import {
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardBuilder,
  DatasourceVariableBuilder,
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
type Line = readonly [expr: string, legend: string];

/** The board's variable: the person looking picks the source; the first of its kind is picked for them. */
const source = "datasource";
const datasource = { type: "prometheus", uid: `\${${source}}` };
const third = 8; // of the 24 columns of a board
const half = 12;
const statHeight = 5;
const plotHeight = 9;

const ask = expressionsFor(shippedWindows);
const { ME7, ME8, ME10 } = metricTable;

/** Built anew for each board: a board gives its panels their places. */
// biome-ignore format: one row a line
const listRows = (): readonly [title: string, panels: readonly (StatPanel | TimePanel)[]][] => [
  ["Do customers get what they buy?", [
    share("First attempt", "of first attempts that ended", ask.firstAttemptSuccess, ME7.target.above),
    share("After retries", "of activations that ended, in a day", ask.successAfterRetries, ME8.target.above),
    zeroIsGood("Broken promises", "money without service, service without money", [ask.violations, "{{invariant}}"]),
    plot("How activations end", "ops", half, "Activations that are over, a second. Who was denied or not paid is not among them: see Denied purchases.",
      [ask.outcomeRate, "{{outcome}}"]),
    plot("Failed attempts by reason", "ops", half, "Over-the-air attempts that a car could not carry out, a second, by the car's reason.", [ask.failureRate, "{{reason}}"]),
    plot("From the hold to the car's proof", "s", half, "How long a customer waits: commit of the hold to commit of the car's signed report.",
      [ask.activationQuantile(0.5), "p50"], [ask.activationQuantile(0.95), "p95"], [ask.activationQuantile(0.99), "p99"]),
    plot("Activations by state", "short", half, "Activations now, by state.", [ask.activationsByState, "{{state}}"]),
  ]],
  ["May customers buy? The workshops decide", [
    plot("Denied purchases", "ops", third, "Purchases that ended at ServiceDenied, a second: maintenance is overdue, or the workshops gave no clear answer.", [ask.denialRate, "{{event}}"]),
    plot("Workshops that did not answer in time", "percentunit", third, "Share of questions without an answer within our 1.8 s, and of purchases denied for it.",
      [ask.checksUnanswered, "questions unanswered"], [ask.deniedUnanswered, "purchases denied"]),
    plot("Maintenance check", "s", third, `Time of an answer; the target is less than ${ME10.target.belowSeconds} s. We wait 1.8 s: a later answer counts as none.`,
      [ask.checkQuantile(0.5), "p50"], [ask.checkQuantile(0.95), "p95"], [ask.checkQuantile(0.99), "p99"]),
  ]],
  ["The fleet", [
    plot("Cars", "short", third, "Cars known to be online, clients connected to brokers, cars that a manifest is on its way to.",
      [ask.carsOnline, "known to be online"], [ask.connectedClients, "connected, {{transport}}"], [ask.manifestsDue, "a manifest is due"]),
    plot("Connections", "ops", third, "Connects to the brokers, a second, and those refused, by reason.", [ask.connectRate, "accepted"], [ask.connectRefusals, "refused: {{reason}}"]),
    plot("Messages", "ops", third, "Manifests handed to the broker and messages of cars taken in, a second.", [ask.manifestRate, "manifests sent"], [ask.messageRate, "messages taken in"]),
  ]],
  ["What waits, and for whom", [
    plot("Oldest broken promise", "s", third, "Age of the oldest activation whose money and service differ.", [ask.oldestViolation, "{{invariant}}"]),
    plot("Borne on purpose for a while", "short", third, "Activations whose money and service differ as decided: presumed payments, charge-backs.", [ask.tolerated, "{{invariant}}, {{reason}}"]),
    plot("Jobs that wait", "short", third, "Jobs in the queue, by kind.", [ask.waitingJobs, "{{task}}"]),
    plot("Jobs out of attempts", "short", half, "Jobs that wait for a person, by kind: npx caas-admin list-jobs.", [ask.exhaustedJobs, "{{task}}"]),
    plot("Tasks for people", "short", half, "Open tasks, by team: GET /api/tasks.", [ask.openTasks, "{{team}}"]),
  ]],
];

export function buildBoard() {
  const board = new DashboardBuilder("Car-as-a-Service: activations and fleet")
    .uid("caas-activations")
    .tags(["car-as-a-service"])
    .refresh("10s")
    .time({ from: "now-1h", to: "now" })
    .timezone("browser")
    .readonly()
    .withVariable(new DatasourceVariableBuilder(source).label("Prometheus").type("prometheus"));
  for (const [title, panels] of listRows()) {
    board.withRow(new RowBuilder(title));
    for (const panel of panels) board.withPanel(panel);
  }
  return board.build();
}

export function renderBoard(): string {
  return `${JSON.stringify(buildBoard(), null, 2)}\n`;
}

function query([expr, legend]: Line): DataqueryBuilder {
  return new DataqueryBuilder().expr(expr).legendFormat(legend).datasource(datasource);
}

function plot(
  title: string,
  unit: string,
  width: number,
  description: string,
  ...lines: readonly Line[]
): TimePanel {
  const panel = new TimePanel()
    .title(title)
    .description(description)
    .unit(unit)
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
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
    .withTarget(query([expr, title]));
}

function zeroIsGood(title: string, description: string, line: Line): StatPanel {
  return new StatPanel()
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
    )
    .withTarget(query(line));
}

function newest(): ReduceDataOptionsBuilder {
  return new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false);
}

function steps(list: { value: number | null; color: string }[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(list);
}
