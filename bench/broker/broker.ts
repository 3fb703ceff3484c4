import { realClock } from "@caas/contract/business-clock.ts";
import {
  openCertificateAuthority,
  type ServiceCertificates,
} from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { withTemporaryFolder } from "@caas/simulator/command/run.ts";
import { findOrInstall } from "../../lab/debian-packages.ts";
import type { Findings, Frame } from "../frame.ts";
import { certifyCars, type WayIn } from "./clients.ts";
import { measureConnects, measureMemory } from "./connects.ts";
import { type MessageLoad, measureMessages } from "./messages.ts";
import { type MeasuredBroker, startMosquitto, startOurBroker, startPlainAedes } from "./rival-brokers.ts";
import { type BrokerRow, type Contender, contenders, type MeasuredRow } from "./rows.ts";

export const rowGroups = ["messages", "connects", "memory"] as const;
export type RowGroup = (typeof rowGroups)[number];

export type BrokerBenchOptions = {
  rows: readonly RowGroup[];
  pairs: number;
  seconds: number;
  clients: number;
  many: number;
  connects: number;
  connections: number;
};

/** One service: as `npm run bench -- ota` measures them. */
const manifestBytes = 670;
const reportBytes = 760;
const connectTurns = 3;
/** Growth is counted from here: earlier, a broker's own first buffers would be counted as the cars'. */
const fewConnections = 1_000;

/** Our broker, plain aedes and Mosquitto on the same loads, in one run. */
export async function measureBrokers(options: BrokerBenchOptions, frame: Frame): Promise<Findings> {
  return withTemporaryFolder("bench-broker", async (folder) => {
    const authority = await openCertificateAuthority(folder, realClock);
    const certificates = await authority.issueForServices(folder);
    const mosquitto = await findOrInstall("mosquitto", "mosquitto");
    const start = new Map<Contender, () => Promise<MeasuredBroker>>([
      ["ours", () => startOurBroker(certificates)],
      ["aedes", () => startPlainAedes(certificates)],
    ]);
    if (mosquitto.kind === "found")
      start.set("mosquitto", () => startMosquitto(mosquitto.path, certificates));
    else frame.say(`Without Mosquitto: ${mosquitto.explanation}`);
    const { measured, versions } = await measureRows(options, start, authority, certificates, frame);
    return {
      numbers: { rows: measured.map(({ row }) => row) },
      conditions: conditionsOf(options, versions),
      raw: measured.map(({ row, samples }) => ({ load: row.load, samples })),
      failures: [],
    };
  });
}

async function measureRows(
  options: BrokerBenchOptions,
  start: ReadonlyMap<Contender, () => Promise<MeasuredBroker>>,
  authority: Awaited<ReturnType<typeof openCertificateAuthority>>,
  certificates: ServiceCertificates,
  frame: Frame,
): Promise<{ measured: MeasuredRow[]; versions: string[] }> {
  const measured: MeasuredRow[] = [];
  const keep = (one: MeasuredRow): void => {
    measured.push(one);
    frame.say(describeRow(one.row));
  };
  const brokers = new Map<Contender, MeasuredBroker>();
  for (const [contender, begin] of start) brokers.set(contender, await begin());
  const wants = (group: RowGroup): boolean => options.rows.includes(group) && !frame.signal.aborted;
  const withTls = options.rows.includes("connects") || options.rows.includes("memory");
  const certified = withTls ? Math.max(options.connects, options.connections) : 0;
  if (withTls) frame.say(`Certificates for ${certified} cars`);
  const ofCars = await certifyCars(certified, authority, certificates);
  try {
    if (wants("messages"))
      for (const load of messageLoads(options)) {
        if (frame.signal.aborted) break;
        keep(await measureMessages(brokers, load, { ...options, manifestBytes, reportBytes }, frame));
      }
    if (wants("connects"))
      for (const way of ["plain", "tls", "mutualTls"] satisfies WayIn[]) {
        const shape = { way, count: options.connects, turns: connectTurns, certificates: ofCars };
        if (!frame.signal.aborted) keep(await measureConnects(brokers, shape, frame));
      }
  } finally {
    for (const broker of brokers.values()) await broker.stop();
  }
  if (wants("memory"))
    for (const way of ["plain", "mutualTls"] satisfies WayIn[]) {
      const few = Math.min(fewConnections, Math.floor(options.connections / 2));
      const shape = { way, few, many: options.connections, certificates: ofCars };
      if (!frame.signal.aborted) keep(await measureMemory(start, shape, frame));
    }
  return { measured, versions: [...brokers.values()].map(({ name }) => name) };
}

function messageLoads({ clients, many }: BrokerBenchOptions): MessageLoad[] {
  const qualities = [0, 1] as const;
  return [
    ...qualities.map((qos) => ({ kind: "fanIn" as const, qos, clients })),
    ...qualities.map((qos) => ({ kind: "fanOut" as const, qos, clients })),
    ...[clients, many].flatMap((count) =>
      qualities.map((qos) => ({ kind: "roundTrip" as const, qos, clients: count })),
    ),
  ];
}

function describeRow(row: BrokerRow): string {
  const values = contenders.map((contender) => {
    const us = row.cpuUs?.[contender];
    return `${contender} ${row[contender] ?? "not measured"}${us === undefined || us === null ? "" : ` (${us} µs)`}`;
  });
  const ratio = row.oursToAedes;
  const against =
    ratio === undefined || ratio === null
      ? ""
      : `; processor time of aedes to ours ${ratio.median} (95 %: ${ratio.low}–${ratio.high}, ${ratio.pairs} pairs)`;
  return `  ${row.load}, ${row.unit}: ${values.join(", ")}${against}`;
}

function conditionsOf(options: BrokerBenchOptions, versions: readonly string[]) {
  return {
    brokers: versions.join(", "),
    manifestBytes,
    reportBytes,
    connectTurns,
    command: `npm run bench -- broker --rows ${options.rows.join(",")} --pairs ${options.pairs} --seconds ${options.seconds} --clients ${options.clients} --many ${options.many} --connects ${options.connects} --connections ${options.connections}`,
    measured:
      "medians of all turns, brokers in turns; closed loop, at most 512 messages under way, so rates are of a busy broker; processor time is the broker process's, all threads; one process generates the load; ours with its access rules and limits, the rates a car raised out of the way; Node's settings are the same for ours and aedes; shares are of one core",
    notOffered: "over TLS our broker lets nobody in who shows no certificate",
    caution: "provisional where other work shares the machine",
  };
}
