import { showOnOneLine } from "@caas/contract/shown-text.ts";

/** The facts that templates can use; each template uses only those of its row. */
export type View = {
  recipient: { name: string };
  purchase: { reference: string; plan: string; currency: string; outstandingCents: number } | null;
  vehicle: { vin: string | null; plate: string | null } | null;
  registration: { authorityId: string; plate: string; registeredOn: string } | null;
  order: {
    factoryOrderId: string | null;
    milestone: string | null;
    progressPercent: number;
    eta: Date | null;
  } | null;
  transport: { date: string; driver: string | null } | null;
  payment: { kind: string; amountCents: number; currency: string; at: Date } | null;
  service: { name: string; priceCents: number; currency: string; durationDays: number } | null;
  activation: { id: string; attemptsUsed: number; endReason: string | null } | null;
  detail: Readonly<Record<string, string | number>>;
  /** Only for the mail that carries them. */
  credentials: { username: string; password: string | null; mailedFor: string | null } | null;
  task: {
    title: string;
    toDo: string;
    closesWith: string | null;
    facts: readonly { label: string; value: string }[];
  } | null;
};

export const emptyView: Omit<View, "recipient"> = {
  purchase: null,
  vehicle: null,
  registration: null,
  order: null,
  transport: null,
  payment: null,
  service: null,
  activation: null,
  detail: {},
  credentials: null,
  task: null,
};

/**
 * The same view with every text on one line: nothing a person typed in can begin a paragraph, a fact or a header
 * of its own in a message.
 */
export function oneLine(view: View): Record<string, unknown> {
  return Object.fromEntries(Object.entries(view).map(([key, value]) => [key, flatten(value)]));
}

function flatten(value: unknown): unknown {
  if (typeof value === "string") return showOnOneLine(value);
  if (Array.isArray(value)) return value.map(flatten);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, flatten(inner)]));
}
