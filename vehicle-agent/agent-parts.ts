import type { EventEmitter } from "node:events";
import type { Display, DisplayAck } from "@caas/contract/display.ts";
import type { Outcome, Report } from "@caas/contract/report.ts";
import type { Logger } from "pino";
import type { CarAdapter } from "./adapters/adapter.ts";
import type { Applier } from "./change/apply.ts";
import type { Journal } from "./change/journal.ts";
import type { AgentClock } from "./clock/agent-clock.ts";
import type { TrustedTime } from "./clock/trusted-time.ts";
import type { WakeUps } from "./clock/wake-ups.ts";
import type { AgentIdentity } from "./identity/identity.ts";
import type { KeyRing } from "./identity/key-ring.ts";
import type { Connection } from "./link/connection.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { Screen } from "./report/display.ts";
import type { AgentStorage } from "./storage/storage.ts";

// Shared by the parts of one running agent. Only `agent.ts` puts them together.

export type AgentEvents = {
  /** Connected, and the broker has taken the first report. */
  connected: [];
  disconnected: [reason: string];
  /** A version was processed for the first time; its outcome is durable. */
  outcome: [outcome: Outcome];
  /** A version is staged and waits for the car. */
  deferred: [deferral: NonNullable<Report["deferred"]>];
  /** The broker has taken a report. */
  reported: [seq: number];
  refused: [reason: string];
  displayed: [message: Display, result: DisplayAck["result"]];
  keysAccepted: [version: number];
  termEnded: [];
  /** A new certificate is durable; it ends at this business instant. */
  certificateRenewed: [validUntil: Date];
  renewalFailed: [detail: string];
  /** A simulated power loss: this agent is dead, its storage may be given to a new one. */
  died: [];
};

export type AgentLogger = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** The purposes of a car's one timer. */
export type WakeUpName = "report" | "refusals" | "termEnd" | "deferral" | "renewal" | "telemetry" | "backlog";

export type AgentParts = {
  identity: AgentIdentity;
  storage: AgentStorage;
  adapter: CarAdapter;
  clock: AgentClock;
  random: () => number;
  logger: AgentLogger;
  metrics: AgentMetrics | undefined;
  events: EventEmitter<AgentEvents>;
  wakeUps: WakeUps<WakeUpName>;
  keys: KeyRing;
  journal: Journal;
  time: TrustedTime;
  applier: Applier;
  screen: Screen;
  connection: Connection;
};
