import { EventEmitter } from "node:events";
import { performance } from "node:perf_hooks";
import { type Display, type DisplayAck, signDisplayAck, verifyDisplay } from "@caas/contract/display.ts";
import { emptyManifestHash, verifyManifest } from "@caas/contract/manifest.ts";
import { type Outcome, signReport } from "@caas/contract/report.ts";
import { parseTopic } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Logger } from "pino";
import { judgeManifest } from "./accept.ts";
import type { CarAdapter } from "./adapter.ts";
import type { AgentClock } from "./agent-clock.ts";
import { type Applier, createApplier } from "./apply.ts";
import { writeJournal } from "./change-steps.ts";
import { type Connection, createConnection } from "./connection.ts";
import { openScreen, type Screen } from "./display.ts";
import { type Failpoint, noFailpoint, PowerLoss } from "./failpoints.ts";
import { type AgentIdentity, keySetFileName } from "./identity.ts";
import { type Journal, type JournalRecord, openJournal } from "./journal.ts";
import { createKeyRing } from "./key-ring.ts";
import type { AgentMetrics } from "./metrics.ts";
import { buildReport, createRefusalCounter, nextReportInMs } from "./report.ts";
import { createSerialQueue } from "./serial-queue.ts";
import type { AgentStorage } from "./storage.ts";
import { publishTelemetry } from "./telemetry.ts";
import { nextTermEnd } from "./terms.ts";
import type { CarTransport } from "./transport.ts";
import { createTrustedTime, type TrustedTime } from "./trusted-time.ts";
import { createWakeUps } from "./wake-ups.ts";

export type AgentOptions = {
  identity: AgentIdentity;
  storage: AgentStorage;
  adapter: CarAdapter;
  transport: CarTransport;
  clock: AgentClock;
  /** [0, 1): jitter of reports and reconnects. */
  random: () => number;
  logger: Pick<Logger, "debug" | "info" | "warn" | "error">;
  metrics?: AgentMetrics;
  failpoint?: Failpoint;
};

export type AgentEvents = {
  /** Connected, and the broker has taken the first report. */
  connected: [];
  disconnected: [reason: string];
  /** A version was processed for the first time; its outcome is durable. */
  outcome: [outcome: Outcome];
  /** A report was handed to the broker and taken. */
  reported: [seq: number];
  refused: [reason: string];
  displayed: [message: Display, result: DisplayAck["result"]];
  keysAccepted: [version: number];
  termEnded: [];
  /** A simulated power loss: this agent is dead, its storage may be given to a new one. */
  died: [];
};

export type AgentState = Pick<JournalRecord, "active" | "outcome" | "seq" | "connection"> & {
  keySetVersion: number;
  connected: boolean;
};

export type Agent = EventEmitter<AgentEvents> & {
  readonly vin: Vin;
  /** Ends what a crash left open and starts connecting; resolves before the car is connected. */
  start(): Promise<void>;
  /** Ends the change under way, says goodbye to the broker and resolves when nothing runs any more. */
  stop(): Promise<void>;
  /** What the car's screen shows, newest first. */
  display(): Display[];
  state(): AgentState;
};

/** Messages that wait while one is processed; all of them can be sent again, so more is refused. */
const longestInbox = 64;
/** Refused messages are reported at once, but no forger makes a car talk more often than this (real time). */
const refusalReportIntervalMs = 60_000;
/** Business time, and never below a second of real time. */
const telemetryIntervalMs = 60_000;
/** How long after a failed removal of an ended entry it is tried again (business time). */
const termRetryMs = 600_000;

type Running = {
  journal: Journal;
  applier: Applier;
  time: TrustedTime;
  screen: Screen;
  connection: Connection;
};

/** One car's agent. Nothing happens before `start`, and an agent starts once. */
export function createAgent(options: AgentOptions): Agent {
  const { identity, storage, adapter, clock, logger, metrics } = options;
  const { vin, proofKey } = identity;
  const failpoint = options.failpoint ?? noFailpoint;
  const events = new EventEmitter<AgentEvents>();
  const keys = createKeyRing(identity.rootPublicKey);
  const refusals = createRefusalCounter();
  const queue = createSerialQueue(longestInbox);
  const wakeUps = createWakeUps<"report" | "refusals" | "termEnd" | "telemetry">(clock, (name) => {
    void queue.run(() => guarded(() => wake(name)));
  });
  /** Business time in which so much real time passes. */
  const spanOfRealMs = (realMs: number): number => realMs / clock.realDelayMs(1);
  let parts: Running | null = null;
  let heldManifest: string | null = null;
  let refusalsReportedAtMs = Number.NEGATIVE_INFINITY;
  let isStopped = false;

  function running(): Running {
    if (parts === null) throw new Error("the agent has not been started");
    return parts;
  }

  /** A task that throws leaves the car as its journal says; the control plane will ask again. */
  async function guarded(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (error instanceof PowerLoss) return die();
      logger.error({ err: error, vin }, "a task failed; the journal is ended on the next one");
    }
  }

  function die(): void {
    if (isStopped) return;
    isStopped = true;
    wakeUps.stop();
    void queue.close();
    const gone = parts?.connection.stop({ farewell: false }) ?? Promise.resolve();
    void gone.then(() => events.emit("died"));
  }

  function refuse(reason: string): void {
    refusals.count(reason);
    metrics?.messageRefused(reason);
    logger.warn({ vin, reason }, "a message was refused");
    events.emit("refused", reason);
    if (wakeUps.has("refusals") || isStopped) return;
    const nextAtMs = refusalsReportedAtMs + spanOfRealMs(refusalReportIntervalMs);
    wakeUps.set("refusals", Math.max(0, nextAtMs - clock.elapsedMs()));
  }

  async function wake(name: "report" | "refusals" | "termEnd" | "telemetry"): Promise<void> {
    switch (name) {
      case "report":
        return sendReport();
      case "refusals":
        refusalsReportedAtMs = clock.elapsedMs();
        return sendReport();
      case "termEnd":
        return removeEnded();
      case "telemetry":
        wakeUps.set("telemetry", Math.max(telemetryIntervalMs, spanOfRealMs(1000)));
        return publishTelemetry(running().connection, adapter, clock);
    }
  }

  function scheduleTermEnd(earliestMs = 0): void {
    const end = nextTermEnd(running().journal.record.terms);
    if (end === null) wakeUps.clear("termEnd");
    else wakeUps.set("termEnd", Math.max(earliestMs, end.getTime() - running().time.now().getTime()));
  }

  async function removeEnded(): Promise<void> {
    const changed = await running().applier.removeEnded();
    scheduleTermEnd(changed ? 0 : termRetryMs);
    if (!changed) return;
    events.emit("termEnded");
    await sendReport();
  }

  /** Unconnected, nothing is sent and no `seq` used: the first thing said on a connection is a fresh report. */
  async function sendReport(onTaken?: () => void): Promise<void> {
    const { journal, time, connection } = running();
    failpoint("beforeReport");
    wakeUps.set("report", nextReportInMs(options.random));
    if (!connection.isUp) return;
    const record = await writeJournal({ journal, time }, ({ seq }) => ({ seq: seq + 1 }));
    const refused = refusals.take();
    const report = buildReport(vin, record, refused, keys.version, time.now());
    // Not awaited: the car goes on working while the broker takes its time.
    connection.publish("report", signReport(report, proofKey)).then(
      () => {
        metrics?.reportSent();
        events.emit("reported", report.seq);
        onTaken?.();
      },
      (error: unknown) => {
        refusals.giveBack(refused);
        logger.debug({ vin, err: error }, "a report was lost with its link; the next connection repeats it");
      },
    );
  }

  async function takeManifest(token: string, arrivedMs: number): Promise<void> {
    const { journal, applier, time } = running();
    const result = verifyManifest(token, {
      vin,
      proofKey: proofKey.kid,
      keyOf: (kid) => keys.keyOf(kid, time.now()),
    });
    if (result.kind === "refused") {
      // The report names our key set; if there is a newer one with that key, it comes and the message is read.
      if (result.reason === "unknownKey") heldManifest = token;
      return refuse(`manifest.${result.reason}`);
    }
    const { manifest } = result;
    // A change that a full disk left open is ended first: its outcome decides what this message is.
    await applier.recover();
    const verdict = judgeManifest(manifest, journal.record.outcome, keys.version);
    if (verdict.kind !== "awaitKeys") time.witness(new Date(manifest.issuedAt));
    switch (verdict.kind) {
      case "awaitKeys":
        heldManifest = token;
        return sendReport();
      case "refuse":
        return refuse(`manifest.${verdict.reason}`);
      case "repeatOutcome":
        return sendReport();
      case "process": {
        const outcome = await applier.applyManifest(manifest, arrivedMs);
        const reason = outcome.result === "applied" ? "none" : outcome.reason;
        metrics?.changeProcessed(outcome.result, reason, performance.now() - arrivedMs);
        logger.info(
          { vin, version: outcome.version, result: outcome.result, reason },
          "a version was processed",
        );
        events.emit("outcome", outcome);
        scheduleTermEnd();
        return sendReport();
      }
    }
  }

  async function takeKeys(token: string, arrivedMs: number): Promise<void> {
    const result = keys.accept(token);
    if (result.kind === "refused") return refuse(`keys.${result.reason}`);
    running().time.witness(new Date(result.keySet.issuedAt));
    if (!result.newer) return;
    await storage.write(keySetFileName, token);
    events.emit("keysAccepted", result.keySet.version);
    const held = heldManifest;
    heldManifest = null;
    await sendReport();
    if (held !== null) await takeManifest(held, arrivedMs);
  }

  async function takeDisplay(token: string): Promise<void> {
    const { screen, time, connection } = running();
    const message = verifyDisplay(token, vin, (kid) => keys.keyOf(kid, time.now()));
    if (message === null) return refuse("display.untrusted");
    time.witness(new Date(message.issuedAt));
    const result = await screen.show(message, time.now());
    events.emit("displayed", message, result);
    const ack: DisplayAck = { vin, id: message.id, result, at: time.now().toISOString() };
    connection.publish("display-ack", signDisplayAck(ack, proofKey)).catch((error: unknown) => {
      logger.debug({ vin, err: error }, "an acknowledgement was lost; the message comes again");
    });
  }

  async function take(topic: string, payload: Buffer, arrivedMs: number): Promise<void> {
    const address = parseTopic(topic);
    if (address === null || address.vin !== vin) return refuse("link.otherTopic");
    // A compact JWS is ASCII: any other byte stays one character and is refused by the decoder.
    const token = payload.toString("latin1");
    switch (address.kind) {
      case "manifest":
        await takeManifest(token, arrivedMs);
        return scheduleTermEnd();
      case "keys":
        return takeKeys(token, arrivedMs);
      case "display":
        return takeDisplay(token);
      default:
        return refuse("link.otherTopic");
    }
  }

  function connect(journal: Journal, time: TrustedTime): Connection {
    let wasUp = false;
    return createConnection({
      vin,
      transport: options.transport,
      random: options.random,
      countConnection: async () => {
        const record = await writeJournal({ journal, time }, ({ connection }) => ({
          connection: connection + 1,
        }));
        return record.connection;
      },
      onMessage(topic, payload) {
        const arrivedMs = performance.now();
        if (!queue.offer(() => guarded(() => take(topic, payload, arrivedMs)))) refuse("link.overload");
      },
      onUp() {
        wasUp = true;
        metrics?.connected();
        void queue.run(() => guarded(() => sendReport(() => events.emit("connected"))));
      },
      onDown(reason) {
        if (wasUp) metrics?.disconnected();
        wasUp = false;
        logger.debug({ vin, reason }, "not connected");
        events.emit("disconnected", reason);
      },
    });
  }

  /** @throws what keeps the car from knowing its own state; a car that refuses its configuration still connects. */
  async function boot({ journal, applier }: Running): Promise<void> {
    const open = journal.record.change;
    try {
      const problem = await applier.boot();
      if (problem !== null) logger.error({ vin, problem }, "the car did not take its configuration at boot");
      const { outcome } = journal.record;
      if (open?.cause === "manifest" && outcome !== null) events.emit("outcome", outcome);
      await applier.removeEnded();
      scheduleTermEnd();
    } catch (error) {
      if (!(error instanceof PowerLoss)) throw error;
      die();
    }
  }

  return Object.assign(events, {
    vin,
    async start() {
      if (parts !== null || isStopped) throw new Error("an agent starts once");
      const keySet = await storage.read(keySetFileName);
      if (keySet !== null && keys.accept(keySet).kind === "refused")
        logger.error({ vin }, "the stored key set is not signed by the pinned root; a new one is asked for");
      const journal = await openJournal(storage, emptyManifestHash);
      const time = createTrustedTime(clock, journal.record.trustedTimeMs);
      const stopwatchMs = (): number => performance.now();
      const applier = createApplier({ journal, slots: storage.slots, adapter, time, failpoint, stopwatchMs });
      parts = {
        journal,
        applier,
        time,
        screen: await openScreen(storage),
        connection: connect(journal, time),
      };
      await boot(parts);
      if (isStopped) return;
      if (adapter.signals !== undefined) wakeUps.set("telemetry", telemetryIntervalMs);
      parts.connection.start();
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      wakeUps.stop();
      await queue.close();
      wakeUps.stop();
      await parts?.connection.stop({ farewell: true });
    },
    display: () => (parts === null ? [] : parts.screen.shown(parts.time.now())),
    state() {
      const { journal, connection } = running();
      const { active, outcome, seq, connection: count } = journal.record;
      return {
        active,
        outcome,
        seq,
        connection: count,
        keySetVersion: keys.version,
        connected: connection.isUp,
      };
    },
  });
}
