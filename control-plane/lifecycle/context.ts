import type { Clock } from "@caas/contract/business-clock.ts";
import type { Logger } from "pino";
import type { Db } from "../store/database.ts";
import type { Publish } from "./events.ts";

/** What every capability is given. */
export type Context = {
  db: Db;
  /** Business time: deadlines, holds, terms, and every recorded date. */
  clock: Clock;
  /** The machine's time: I/O, webhooks' windows, sessions. */
  realClock: Clock;
  publish: Publish;
  /** 0 ≤ random() < 1. */
  random: () => number;
  logger: Logger;
};
