import { EventEmitter } from "node:events";
import { performance } from "node:perf_hooks";
import type { Display } from "@caas/contract/display.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import type { Report } from "@caas/contract/report.ts";
import { topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { CarAdapter } from "./adapters/adapter.ts";
import type { AgentEvents, AgentLogger, AgentParts, WakeUpName } from "./agent-parts.ts";
import { createApplier } from "./change/apply.ts";
import { writeJournal } from "./change/change-steps.ts";
import { type JournalRecord, openJournal } from "./change/journal.ts";
import type { LifecycleState } from "./change/lifecycle.ts";
import { createProgress, type Progress, slowWorkMs } from "./change/progress.ts";
import { createWaitingWork, type WaitingWork } from "./change/waiting-work.ts";
import type { AgentClock } from "./clock/agent-clock.ts";
import { createTrustedTime, type TrustedTime } from "./clock/trusted-time.ts";
import { createWakeUps } from "./clock/wake-ups.ts";
import { type Failpoint, noFailpoint, PowerLoss } from "./failpoints.ts";
import type { CertificateKeeper } from "./identity/certificate-keeper.ts";
import { type CertificateRenewal, createCertificateRenewal } from "./identity/certificate-renewal.ts";
import { type AgentIdentity, keySetFileName } from "./identity/identity.ts";
import { createKeyRing } from "./identity/key-ring.ts";
import { createConnection } from "./link/connection.ts";
import { createMessageTaker, type MessageTaker } from "./link/messages.ts";
import type { CarTransport } from "./link/transport.ts";
import type { AgentMetrics } from "./metrics.ts";
import { openScreen } from "./report/display.ts";
import { createReporter, type Reporter } from "./report/reporter.ts";
import { createTelemetry, type TelemetryDuty } from "./report/telemetry.ts";
import { openTelemetryBuffer } from "./report/telemetry-buffer.ts";
import { createSerialQueue } from "./serial-queue.ts";
import type { AgentStorage } from "./storage/storage.ts";

export type AgentOptions = {
  identity: AgentIdentity;
  storage: AgentStorage;
  adapter: CarAdapter;
  transport: CarTransport;
  clock: AgentClock;
  /** [0, 1): jitter of reports and reconnects. */
  random: () => number;
  logger: AgentLogger;
  metrics?: AgentMetrics;
  failpoint?: Failpoint;
  /** Renews the transport's certificate; without it the certificate is never renewed. */
  certificates?: CertificateKeeper;
  /** Real ms after which a running change is reported as such; default 5 s. */
  slowWorkMs?: number;
};

export type AgentState = Pick<JournalRecord, "active" | "outcome" | "seq" | "connection"> & {
  lifecycle: LifecycleState;
  deferred: Report["deferred"];
  /** When the car's certificate ends (business time); `null` without one to keep. */
  certificateValidUntil: string | null;
  keySetVersion: number;
  /** The newest word that the platform has signed; `null` before the first. Somebody may be withholding newer ones. */
  lastSignedWord: { at: string; ageSeconds: number } | null;
  /** Files that were set aside since the agent began, because they were damaged. */
  damaged: readonly string[];
  connected: boolean;
};

export type Agent = EventEmitter<AgentEvents> & {
  readonly vin: Vin;
  /** Ends work that a crash left open and starts connecting; resolves before the car is connected. */
  start(): Promise<void>;
  /** Ends the running change, disconnects from the broker and resolves when nothing runs any more. */
  stop(): Promise<void>;
  /** The messages on the car's screen, newest first. */
  display(): Display[];
  /** @throws before `start`. */
  state(): AgentState;
};

/** Messages that wait while one is processed; more are refused, because all of them are sent again. */
const longestInbox = 64;
type Running = AgentParts & {
  reporter: Reporter;
  progress: Progress;
  takeMessage: MessageTaker;
  renewal: CertificateRenewal | null;
  telemetry: TelemetryDuty | null;
  waitingWork: WaitingWork;
};

/** One car's agent. Nothing happens before `start`, and an agent starts once. */
export function createAgent(options: AgentOptions): Agent {
  const { identity, storage, adapter, clock, logger, metrics, random } = options;
  const { vin } = identity;
  const failpoint = options.failpoint ?? noFailpoint;
  const events = new EventEmitter<AgentEvents>();
  const keys = createKeyRing(identity.rootPublicKey);
  const queue = createSerialQueue(longestInbox);
  const wakeUps = createWakeUps<WakeUpName>(clock, (name) => {
    // The control plane may take long to answer; the car continues meanwhile.
    if (name === "renewal") void guarded(async (car) => car.renewal?.whileConnected(stopping.signal));
    else void queue.run(() => guarded((car) => wake(car, name)));
  });
  let parts: Running | null = null;
  const stopping = new AbortController();
  let isStarted = false;
  let isStopped = false;
  /** Signals change many times per second; one pending look covers them all. */
  let isNoticing = false;
  let unwatch: (() => void) | undefined;

  function running(): Running {
    if (parts === null) throw new Error("the agent has not been started");
    return parts;
  }

  /** A task that throws leaves the car in the state of its journal; the control plane will ask again. */
  async function guarded(task: (car: Running) => Promise<void>): Promise<void> {
    try {
      await task(running());
    } catch (error) {
      if (error instanceof PowerLoss) die();
      else logger.error({ err: error, vin }, "a task failed; an open change is ended by the next one");
    }
  }

  function die(): void {
    if (isStopped) return;
    isStopped = true;
    stopping.abort();
    unwatch?.();
    wakeUps.stop();
    void queue.close();
    const gone = parts?.connection.stop({ farewell: false }) ?? Promise.resolve();
    void gone.then(() => events.emit("died"));
  }

  async function wake(car: Running, name: Exclude<WakeUpName, "renewal">): Promise<void> {
    switch (name) {
      case "report":
        return car.reporter.send();
      case "refusals":
        return car.reporter.tellRefusals();
      case "termEnd":
        return car.waitingWork.removeEnded();
      case "deferral":
        return car.waitingWork.rejudge();
      case "telemetry":
        return car.telemetry?.read();
      case "backlog":
        return car.telemetry?.sendBacklog();
    }
  }

  async function assemble(): Promise<Running> {
    const keySet = await storage.read(keySetFileName);
    const accepted = keySet === null ? null : keys.accept(keySet);
    if (accepted?.kind === "refused")
      logger.error({ vin }, "the stored key set is not signed by the pinned root; a new one is asked for");
    const journal = await openJournal(storage, emptyManifestHash);
    const time = createTrustedTime(clock, journal.record.trustedTimeMs, journal.record.lastSignedMs);
    // A car whose clock stands at 1970 knows by it that the keys have begun.
    if (accepted?.kind === "accepted") time.atLeast(new Date(accepted.keySet.issuedAt));
    const stopwatchMs = (): number => performance.now();
    const applier = createApplier({
      ...{ journal, slots: storage.slots, adapter, time, failpoint, stopwatchMs },
      onDamage: () =>
        logger.error({ vin }, "the active slot does not hold its version; the next one heals it"),
    });
    let wasUp = false;
    const connection = createConnection({
      vin,
      transport: options.transport,
      random,
      async countConnection() {
        const patch = (record: JournalRecord) => ({ connection: record.connection + 1 });
        return (await writeJournal({ journal, time }, patch)).connection;
      },
      signedTime: () => new Date(time.highestMs()),
      prepare: (signal) => guarded(async (car) => car.renewal?.beforeConnecting(signal)),
      onMessage(topic, payload) {
        const arrivedMs = performance.now();
        const taken = queue.offer(() =>
          guarded(async (car) => {
            await car.takeMessage(topic, payload, arrivedMs);
            car.waitingWork.scheduleTermEnd();
          }),
        );
        if (!taken && !isStopped) reporter.refuse("link.overload");
      },
      onUp() {
        wasUp = true;
        metrics?.connected();
        void queue.run(() =>
          guarded(async (car) => {
            await car.renewal?.connected();
            await car.reporter.send(() => events.emit("connected"));
            await car.telemetry?.sendBacklog();
          }),
        );
      },
      onDown(reason) {
        if (wasUp) metrics?.disconnected();
        else parts?.renewal?.notConnected();
        wasUp = false;
        logger.debug({ vin, reason }, "not connected");
        events.emit("disconnected", reason);
      },
    });
    const shared = {
      identity,
      storage,
      adapter,
      clock,
      random,
      logger,
      metrics,
      events,
      wakeUps,
      keys,
      journal,
      time,
    };
    const reporter = createReporter({ ...shared, applier, connection, failpoint });
    const progress = createProgress({
      ...shared,
      applier,
      slowWorkMs: options.slowWorkMs ?? slowWorkMs,
      onSlow: () => void guarded((car) => car.reporter.send()),
    });
    const { certificates } = options;
    const renewal =
      certificates === undefined
        ? null
        : createCertificateRenewal({
            ...shared,
            certificates,
            takeKeySet: (token) =>
              void queue.run(() =>
                guarded((car) =>
                  car.takeMessage(topicOf(vin, "keys"), Buffer.from(token), performance.now()),
                ),
              ),
            reconnect: () => connection.renew(),
          });
    const telemetry =
      adapter.signals === undefined
        ? null
        : createTelemetry({ ...shared, connection, buffer: await openTelemetryBuffer(storage) });
    const all = {
      telemetry,
      ...shared,
      renewal,
      applier,
      connection,
      screen: await openScreen(storage),
      reporter,
      progress,
    };
    const waitingWork = createWaitingWork(all);
    return { ...all, waitingWork, takeMessage: createMessageTaker(all) };
  }

  /** @throws when the car cannot know its own state; a car that refuses its configuration still connects. */
  async function boot(car: Running): Promise<void> {
    const { applier } = car;
    try {
      await car.progress.follow(async () => {
        const problem = await applier.boot();
        if (problem !== null)
          logger.error({ vin, problem }, "the car did not take its configuration at boot");
      });
      await car.progress.follow(() => applier.removeEnded());
      await car.progress.follow(() => applier.rejudge());
      car.waitingWork.scheduleTermEnd();
      await adapter.show?.(car.screen.shown(car.time.now()));
    } catch (error) {
      if (!(error instanceof PowerLoss)) throw error;
      die();
    }
  }

  return Object.assign(events, {
    vin,
    async start() {
      if (isStarted || isStopped) throw new Error("an agent starts once");
      isStarted = true;
      parts = await assemble();
      await boot(parts);
      if (isStopped) return;
      unwatch = adapter.watch?.(() => {
        if (isNoticing || isStopped) return;
        isNoticing = true;
        void queue.run(() => {
          isNoticing = false;
          return guarded((car) => car.waitingWork.noticeConditions());
        });
      });
      parts.telemetry?.start();
      parts.connection.start();
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      stopping.abort();
      unwatch?.();
      await queue.close();
      wakeUps.stop();
      await parts?.connection.stop({ farewell: true });
    },
    display: () => (parts === null ? [] : parts.screen.shown(parts.time.now())),
    state() {
      const { journal, connection, applier, time } = running();
      const { active, outcome, seq, connection: count } = journal.record;
      const connected = connection.isUp;
      const { state: lifecycle, deferral } = applier;
      const deferred = deferral === null ? null : { version: deferral.version, reason: deferral.reason };
      const { version: keySetVersion } = keys;
      const certificateValidUntil = options.certificates?.validUntil.toISOString() ?? null;
      return {
        active,
        outcome,
        seq,
        connection: count,
        lifecycle,
        deferred,
        certificateValidUntil,
        keySetVersion,
        lastSignedWord: lastSignedWordOf(time),
        damaged: storage.damaged,
        connected,
      };
    },
  });
}

function lastSignedWordOf(time: TrustedTime): AgentState["lastSignedWord"] {
  const atMs = time.lastSignedMs();
  if (atMs === 0) return null;
  const ageSeconds = Math.max(0, Math.floor((time.now().getTime() - atMs) / 1000));
  return { at: new Date(atMs).toISOString(), ageSeconds };
}
