import * as z from "zod";

// The knobs of a stand-in: how it fails when a test wants it to. Each one-off knob is used up by one request.

const onceOrMore = z.int().min(0).max(1_000_000);

export const faultsSchema = z.strictObject({
  /** Added before every answer, milliseconds of real time. */
  latencyMs: z.int().min(0).max(600_000).optional(),
  /** The next `count` requests are refused with `status` and nothing is done. */
  failNext: z.strictObject({ count: onceOrMore, status: z.int().min(400).max(599) }).optional(),
  /** The next `count` requests are done, and never answered: the client cannot know. */
  timeOutAfterDoingNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are neither done nor answered. */
  timeOutBeforeDoingNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are done and answered 200 with a page that is no JSON. */
  answerNonsenseNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` webhooks are counted as sent and are not: lost on the way. */
  dropWebhooksNext: z.strictObject({ count: onceOrMore }).optional(),
});
export type FaultSettings = z.infer<typeof faultsSchema>;

export type Fault =
  | { kind: "none" }
  | { kind: "fail"; status: number }
  | { kind: "timeOutAfterDoing" }
  | { kind: "timeOutBeforeDoing" }
  | { kind: "answerNonsense" };

export type Faults = {
  /** What is still to happen. */
  read(): FaultSettings;
  /** Whether anything is still to happen. */
  isSet(): boolean;
  /** Replaces all knobs. */
  set(settings: FaultSettings): void;
  clear(): void;
  latencyMs(): number;
  /** The fate of one request; uses up one of the knob that decided it. */
  take(): Fault;
  takeWebhookDrop(): boolean;
};

export function createFaults(): Faults {
  let settings: FaultSettings = {};
  const takeOne = (knob: { count: number } | undefined): boolean => {
    if (knob === undefined || knob.count === 0) return false;
    knob.count -= 1;
    return true;
  };
  return {
    read: () => structuredClone(settings),
    isSet: () =>
      Object.values(settings).some((knob) => (typeof knob === "number" ? knob : (knob?.count ?? 0)) > 0),
    set: (next) => {
      settings = structuredClone(next);
    },
    clear: () => {
      settings = {};
    },
    latencyMs: () => settings.latencyMs ?? 0,
    take() {
      if (settings.failNext !== undefined && takeOne(settings.failNext))
        return { kind: "fail", status: settings.failNext.status };
      if (takeOne(settings.timeOutBeforeDoingNext)) return { kind: "timeOutBeforeDoing" };
      if (takeOne(settings.timeOutAfterDoingNext)) return { kind: "timeOutAfterDoing" };
      if (takeOne(settings.answerNonsenseNext)) return { kind: "answerNonsense" };
      return { kind: "none" };
    },
    takeWebhookDrop: () => takeOne(settings.dropWebhooksNext),
  };
}
