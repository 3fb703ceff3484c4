import { type Selectable, sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, NotificationSubject } from "../../lifecycle/events.ts";
import { type NotificationRowId, notificationRows } from "../../rules/notification-rows.ts";
import type { Transaction } from "../../store/database.ts";
import { groupCommit } from "../../store/group-commit.ts";
import type { Database } from "../../store/schema.ts";

export type Queued = Selectable<Database["notifications"]>;

/** What sending asks of the database: mails go out by hundreds, and what they ask together is one question. */
export type Outbox = {
  read(notificationId: string): Promise<Queued>;
  recordAccepted(queued: Queued, providerId: string): Promise<void>;
  recordFailed(queued: Queued, reason: string, status: "queued" | "failed"): Promise<void>;
};

/** The mail is out: what is written down about it may wait for others. */
const acceptedLingerMs = 50;

export function createOutbox(context: Context): Outbox {
  const { db } = context;
  const accept = groupCommit(
    async (accepted: readonly Accepted[]) => {
      await db.transaction().execute((tx) => recordAccepted(context, tx, accepted));
      return accepted.map(() => undefined);
    },
    { lingerMs: acceptedLingerMs },
  );
  return {
    read: groupCommit(async (ids: readonly string[]) => {
      const rows = await db
        .selectFrom("notifications")
        .selectAll()
        .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
        .execute();
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => {
        const row = byId.get(id);
        if (row === undefined) throw new Error(`no notification ${id}`);
        return row;
      });
    }),
    recordAccepted: (queued, providerId) => accept({ queued, providerId }),
    recordFailed: (queued, reason, status) => recordFailed(context, queued, reason, status),
  };
}

type Accepted = { queued: Queued; providerId: string };

async function recordAccepted(
  context: Context,
  tx: Transaction,
  accepted: readonly Accepted[],
): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    update notifications as notification
    set status = 'accepted', provider_id = said.provider_id, sent_at = ${context.clock.now()}, last_error = null
    from unnest(${accepted.map(({ queued }) => queued.id)}::uuid[],
                ${accepted.map(({ providerId }) => providerId)}::text[]) as said (id, provider_id)
    where notification.id = said.id and notification.status = 'queued'
    returning notification.id`.execute(tx);
  const now = new Set(rows.map(({ id }) => id));
  const said: DomainEvents["notificationAccepted"][] = [];
  for (const { queued } of accepted)
    if (now.has(queued.id) && isNotificationRow(queued.row_id))
      said.push({ row: queued.row_id, notificationId: queued.id, subject: subjectOf(queued) });
  await context.publish(tx, "notificationAccepted", said);
}

/** A message that will never arrive is a person's business: the customer is to be reached another way (ES6). */
async function recordFailed(
  context: Context,
  queued: Queued,
  reason: string,
  status: "queued" | "failed",
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const updated = await tx
      .updateTable("notifications")
      .set({ status, last_error: reason.slice(0, 500) })
      .where("id", "=", queued.id)
      .where("status", "=", "queued")
      .executeTakeFirst();
    if (updated.numUpdatedRows !== 1n || status !== "failed" || queued.recipient !== "customer") return;
    await context.publish(tx, "taskNeeded", [
      {
        kind: "mailUndeliverable",
        team: "dealership",
        title: `The customer could not be reached by e-mail: ${queued.event}`,
        detail: { notificationId: queued.id },
        subject: subjectOf(queued),
      },
    ]);
  });
}

function subjectOf(queued: Queued): NotificationSubject {
  return {
    ...(queued.expediente_id === null ? {} : { expedienteId: queued.expediente_id }),
    ...(queued.vehicle_id === null ? {} : { vehicleId: queued.vehicle_id }),
    ...(queued.activation_id === null ? {} : { activationId: queued.activation_id }),
  };
}

function isNotificationRow(rowId: string): rowId is NotificationRowId {
  return Object.hasOwn(notificationRows, rowId);
}
