// Work that needs a person. The platform opens a task; a member of its team resolves it and says how (ES6, ES7).

export const taskTeams = ["dealership", "support"] as const;
export type TaskTeam = (typeof taskTeams)[number];

/**
 * `bySubject`: support where it is about a service, the dealership where it is about a sale.
 * @param closesWith the act that closes it; nobody closes it by hand then
 */
function task<const Title extends string>(
  team: TaskTeam | "bySubject",
  title: Title,
  toDo: string,
  closesWith: string | null = null,
) {
  return { team, title, toDo, closesWith };
}

// biome-ignore format: one row a line, what resolves it below
export const taskTable = {
  activationFailed:     task("support",    "{service} could not be activated",
    "Find out why the car did not take it; the customer may buy the service again."),
  planNotApplied:       task("support",    "A car could not apply the configuration of its plan comercial",
    "Fix the car or the plan; the platform asks the car again by itself."),
  captureFailed:        task("support",    "A service is active and its payment could not be taken",
    "Agree on another payment with the customer; the service is withdrawn meanwhile."),
  refundRefused:        task("support",    "The gateway did not take a refund",
    "Give the money back in another way."),
  paymentContradiction: task("support",    "The gateway took money for a payment that had ended",
    "Give the money back at the gateway."),
  otherAmountTaken:     task("bySubject",  "The gateway took another amount than the price",
    "Give back what is too much, or agree on the rest with the customer."),
  paymentMismatch:      task("bySubject",  "The gateway's record of a payment is not of the payment that we made",
    "Compare the two at the gateway; nothing was booked on its word."),
  refundFailed:         task("bySubject",  "A refund came back: the customer does not have the money",
    "Give the money back in another way."),
  givenBackTwice:       task("bySubject",  "A payment was refunded and charged back: the money left twice",
    "Show the bank the refund, so that it decides the charge-back for us."),
  chargeBack:           task("bySubject",  "A bank took a payment back: answer it at the gateway, or let it be",
    "Answer the bank at the gateway, or decide not to."),
  chargeBackWon:        task("bySubject",  "A charge-back was decided for us: the customer has paid; see what they are owed",
    "Switch the service on again, or give the money back."),
  paymentNotMade:       task("dealership", "A payment could not be made, and no bank refused it",
    "Read why, and agree with the customer on another way or another day."),
  paymentUnanswered:    task("dealership", "The gateway does not answer about a payment",
    "Look at the gateway's own screens; the platform goes on asking by itself."),
  secondLook:           task("dealership", "A colleague recorded a payment: look at the account and say whether it is there",
    "Record the second look at the payment (POST /api/payments/{paymentId}/second-look), passed or failed; a colleague of the one who recorded it does that. A payment that passed counts from then on.", "the second look at the payment"),
  readyNoticeStalled:   task("dealership", "A car is ready and its customer could not be told: please call them",
    "Call the customer."),
  carDoubted:          task("support",    "A car may not be what it says: {what}",
    "Ask the owner and the workshop. A car that lost its memory or got another control unit needs a new enrolment package; of a copied one the certificates must be revoked."),
  mailUndeliverable:    task("dealership", "The customer could not be reached by e-mail: {event}",
    "Tell the customer in another way, and correct the address."),
  transportRefused:     task("dealership", "The carrier refused transport {reference}",
    "Arrange another day or another carrier (FA15)."),
  carrierHasOldContact: task("dealership", "The carrier has the old {what} of {reference}",
    "Arrange another transport in its place while the car is in transit (FA16), or tell the carrier by telephone."),
  messageNotTaken:      task("support",    "A message of the {partner} could not be taken: {type}",
    "Read the reason and the message, put the record right, and ask the partner where the matter stands."),
  transportNotCalledOff: task("dealership", "The carrier did not call off transport {reference}, which is not needed any more",
    "Read the carrier's reason, and call it off with them: two lorries may come for one car."),
  orderRefused:         task("dealership", "The factory refused order {reference}",
    "Read the factory's reason, put it right with them, and have the factory asked again (POST /api/orders/{orderId}/retry)."),
  registrationRefused:  task("dealership", "The authority refused registration {reference}",
    "Read the authority's reason, put it right with them, and have the authority asked again (POST /api/expedientes/{expedienteId}/registration/retry)."),
  partnerUnreachable:   task("dealership", "The {partner} does not answer about {reference}",
    "Ask the {partner} by telephone; the platform goes on asking, ever more seldom."),
  partnerSilent:        task("dealership", "The {partner} has no news of {reference}",
    "Ask the {partner} by telephone where it stands."),
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
): { team: TaskTeam; title: string; toDo: string; closesWith: string | null } {
  const { team, title, toDo, closesWith } = taskTable[needed.kind];
  const facts: Readonly<Record<string, string>> = "facts" in needed ? needed.facts : {};
  return {
    team: team !== "bySubject" ? team : subject.activationId === undefined ? "dealership" : "support",
    title: title.replace(/\{(\w+)\}/g, (blank, name: string) => facts[name] ?? blank),
    toDo,
    closesWith,
  };
}

/** `null` for a kind that is not in the table any more. */
export function taskRow(kind: string): { toDo: string; closesWith: string | null } | null {
  return isTaskKind(kind) ? taskTable[kind] : null;
}

function isTaskKind(kind: string): kind is TaskKind {
  return Object.hasOwn(taskTable, kind);
}
