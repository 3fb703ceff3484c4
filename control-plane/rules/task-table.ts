// What only a person can settle. The platform opens a task; a member of its team resolves it and says how (ES6, ES7).

export const taskTeams = ["dealership", "support"] as const;
export type TaskTeam = (typeof taskTeams)[number];

/** `bySubject`: support where it is about a service, the dealership where it is about a sale. */
function task<const Title extends string>(team: TaskTeam | "bySubject", title: Title, resolvedBy: string) {
  return { team, title, resolvedBy };
}

// biome-ignore format: one row a line
export const taskTable = {
  //                         team          title                                                                            resolved by
  activationFailed:     task("support",    "{service} could not be activated",                                              "finding out why; a new activation"),
  planNotApplied:       task("support",    "A car could not apply the configuration of its plan comercial",                 "mending it; the car is asked again"),
  captureFailed:        task("support",    "A service is active and its payment could not be taken",                        "asking the customer to pay"),
  refundRefused:        task("support",    "The gateway did not take a refund",                                             "giving it back in another way"),
  paymentContradiction: task("support",    "The gateway took money for a payment that had ended",                           "giving it back at the gateway"),
  chargeBack:           task("bySubject",  "A bank took a payment back: answer it at the gateway, or let it be",            "an answer to the bank"),
  chargeBackWon:        task("bySubject",  "A charge-back was decided for us: the customer has paid; see what they are owed", "service again, or refund"),
  readyNoticeStalled:   task("dealership", "A car is ready and its customer could not be told: please call them",           "a call to the customer"),
  mailUndeliverable:    task("dealership", "The customer could not be reached by e-mail: {event}",                          "telling them; a correct address"),
  transportRefused:     task("dealership", "The carrier refused transport {reference}",                                     "another day or carrier (FA15)"),
  transportNotNeeded:   task("dealership", "Tell the carrier that transport {reference} is not needed",                     "the carrier's cancellation"),
} as const;

export type TaskKind = keyof typeof taskTable;

type Blanks<Title extends string> = Title extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Blanks<Rest>
  : never;
type Facts<K extends TaskKind> = Readonly<Record<Blanks<(typeof taskTable)[K]["title"]>, string>>;
type Filled<K extends TaskKind> = keyof Facts<K> extends never ? { kind: K } : { kind: K; facts: Facts<K> };

/** A task of some kind, with what its title names: `{ kind: "activationFailed", facts: { service: "Heated seats" } }`. */
export type NewTask = { [K in TaskKind]: Filled<K> }[TaskKind];

/** Whose task it is and what it is called. A subject with an activation is about a service. */
export function describeTask(
  needed: NewTask,
  subject: { activationId?: string | undefined },
): { team: TaskTeam; title: string } {
  const { team, title } = taskTable[needed.kind];
  const facts: Readonly<Record<string, string>> = "facts" in needed ? needed.facts : {};
  return {
    team: team !== "bySubject" ? team : subject.activationId === undefined ? "dealership" : "support",
    title: title.replace(/\{(\w+)\}/g, (blank, name: string) => facts[name] ?? blank),
  };
}
