import * as z from "zod";

// The knobs of a stand-in: how it fails when a test wants it to. Each one-off knob is used up by one request.

const onceOrMore = z.int().min(0).max(1_000_000);

export const faultsSchema = z.strictObject({
  /** Added before every answer, milliseconds of real time. */
  latencyMs: z.int().min(0).max(600_000).optional(),
  /** The next `count` requests are refused with `status` and nothing is done. */
  failNext: z.strictObject({ count: onceOrMore, status: z.int().min(400).max(599) }).optional(),
  /** The next `count` requests are refused with a reason of the partner's own, and nothing is done. */
  refuseNext: z
    .strictObject({
      count: onceOrMore,
      status: z.int().min(400).max(499),
      code: z.string().min(1).max(100),
      message: z.string().min(1).max(1_000),
    })
    .optional(),
  /** The next `count` requests are done, and never answered: the client cannot know. */
  timeOutAfterDoingNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are neither done nor answered. */
  timeOutBeforeDoingNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are done and answered 200 with a page that is no JSON. */
  answerNonsenseNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are done and answered with a NUL and half of an emoji in every free text. */
  garbleTextNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are not done, and answered without end. */
  answerEndlesslyNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` requests are not done, and answered a byte at a time, forever. */
  answerSlowlyNext: z.strictObject({ count: onceOrMore }).optional(),
  /** The next `count` webhooks are counted as sent and are not: lost on the way. */
  dropWebhooksNext: z.strictObject({ count: onceOrMore }).optional(),
  /** Webhooks as another release of the partner writes them; before each, one of a type that nobody has heard of. */
  oddWebhooks: z.boolean().optional(),
});
export type FaultSettings = z.infer<typeof faultsSchema>;

export type Fault =
  | { kind: "none" }
  | { kind: "fail"; status: number; code: string; message: string }
  | { kind: "timeOutAfterDoing" }
  | { kind: "timeOutBeforeDoing" }
  | { kind: "answerNonsense" }
  | { kind: "garbleText" }
  | { kind: "answerEndlessly" }
  | { kind: "answerSlowly" };

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
  areWebhooksOdd(): boolean;
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
      Object.values(settings).some((knob) =>
        typeof knob === "object" ? knob.count > 0 : typeof knob === "number" ? knob > 0 : knob === true,
      ),
    set: (next) => {
      settings = structuredClone(next);
    },
    clear: () => {
      settings = {};
    },
    latencyMs: () => settings.latencyMs ?? 0,
    take() {
      if (settings.failNext !== undefined && takeOne(settings.failNext))
        return {
          kind: "fail",
          status: settings.failNext.status,
          code: "simulated_fault",
          message: "refused by the fault knob failNext",
        };
      if (settings.refuseNext !== undefined && takeOne(settings.refuseNext)) {
        const { status, code, message } = settings.refuseNext;
        return { kind: "fail", status, code, message };
      }
      if (takeOne(settings.timeOutBeforeDoingNext)) return { kind: "timeOutBeforeDoing" };
      if (takeOne(settings.timeOutAfterDoingNext)) return { kind: "timeOutAfterDoing" };
      if (takeOne(settings.answerNonsenseNext)) return { kind: "answerNonsense" };
      if (takeOne(settings.garbleTextNext)) return { kind: "garbleText" };
      if (takeOne(settings.answerEndlesslyNext)) return { kind: "answerEndlessly" };
      if (takeOne(settings.answerSlowlyNext)) return { kind: "answerSlowly" };
      return { kind: "none" };
    },
    takeWebhookDrop: () => takeOne(settings.dropWebhooksNext),
    areWebhooksOdd: () => settings.oddWebhooks === true,
  };
}
