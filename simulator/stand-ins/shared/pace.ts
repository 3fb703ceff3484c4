import * as z from "zod";
import type { OpenPartner } from "./partner.ts";
import { type Outbox, type SignWebhook, startOutbox, type WebhookOptions } from "./webhooks.ts";

// How a stand-in moves its work on: by itself ("auto", one step after the other) or step by step on command. A step
// waits until the webhooks about the one before were taken.

export type PacedWork<Pace> = {
  readonly outbox: Outbox;
  pace(): Pace;
  /** Takes the next step of this piece of work when its time has come. */
  moveOn(subject: string): void;
  /** The same for all that is not finished. */
  moveAllOn(): void;
  /** Forgets every step that waits. */
  stop(): Promise<void>;
};

/** Opens `/_control/pace` as well: GET, PUT, and DELETE, which puts back the pace it began with. */
export function openPacedWork<Pace extends { mode: string }>(
  { app, store, faults, knobs, logger }: OpenPartner,
  options: {
    /** The pace outlives a restart; `initial` counts until it is first set. */
    schema: z.ZodType<Pace>;
    initial: Pace;
    /** Ms of real time before each step; `null`: only on command. */
    delayMs(pace: Pace): number | null;
    /** Takes the next step, if there is one. */
    step(subject: string, pace: Pace): void;
    /** What is not finished. */
    unfinished(): string[];
    webhook: WebhookOptions | undefined;
    path: string;
    sign: (secret: string) => SignWebhook;
  },
): PacedWork<Pace> {
  const { schema, initial, webhook } = options;
  const settings = store.collection("settings", z.object({ name: z.string(), value: schema }));
  const pace = (): Pace => settings.get("pace")?.value ?? initial;
  /** One timer per piece of work. */
  const timers = new Map<string, NodeJS.Timeout>();

  function moveOn(subject: string): void {
    const delayMs = options.delayMs(pace());
    if (delayMs === null || timers.has(subject) || outbox.hasPending(subject)) return;
    const step = () => {
      timers.delete(subject);
      if (options.delayMs(pace()) !== null) options.step(subject, pace());
    };
    timers.set(subject, setTimeout(step, delayMs).unref());
  }
  function moveAllOn(): void {
    for (const subject of options.unfinished()) moveOn(subject);
  }
  function cancelAll(): void {
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
  }

  const outbox = startOutbox({
    store,
    path: options.path,
    webhook,
    sign: webhook === undefined ? () => ({}) : options.sign(webhook.secret),
    faults,
    logger,
    onSettled: (message) => moveOn(message.subject),
  });
  knobs.add(() => {
    const set = settings.get("pace")?.value;
    return set === undefined ? null : { what: "pace", value: set, reset: "/_control/pace" };
  });
  app.get("/_control/pace", () => pace());
  app.put("/_control/pace", { schema: { body: schema } }, (request) => {
    settings.put("pace", { name: "pace", value: schema.parse(request.body) });
    cancelAll();
    moveAllOn();
    return pace();
  });
  app.delete("/_control/pace", (_request, reply) => {
    settings.delete("pace");
    cancelAll();
    moveAllOn();
    return reply.status(204).send();
  });
  return {
    outbox,
    pace,
    moveOn,
    moveAllOn,
    stop: async () => cancelAll(),
  };
}
