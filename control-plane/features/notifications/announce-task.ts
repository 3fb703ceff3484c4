import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { mailAttempts, sendMailJob } from "./jobs.ts";
import { loadView } from "./load-view.ts";
import { findSubjectMatter } from "./subject-matter.ts";
import type { Templates } from "./templates.ts";

/** `row_id` of a message that is no row of the notification table but a task's. */
export const taskRow = "task";

/** Mails a dealership's task to each of its sales staff ("Notification Triggers and Channels": Email → Employee). */
export async function announceTask(
  context: Context,
  tx: Transaction,
  templates: Templates,
  needed: DomainEvents["taskNeeded"],
): Promise<void> {
  if (needed.team !== "dealership") return;
  const matter = await findSubjectMatter(tx, needed.subject);
  const staff = await tx
    .selectFrom("auth_users")
    .where("role", "=", "sales")
    .where("dealershipId", "=", matter.dealershipId)
    .orderBy("id")
    .select(["name", "email"])
    .execute();
  const facts = Object.entries(needed.detail ?? {}).map(([label, value]) => ({
    label,
    value: String(value),
  }));
  for (const { name, email } of staff) {
    const view = await loadView(tx, matter, name, {});
    const message = templates.render(taskRow, { ...view, task: { title: needed.title, facts } });
    const id = newId();
    await tx
      .insertInto("notifications")
      .values({
        id,
        row_id: taskRow,
        event: "Task for the dealership",
        recipient: "dealership",
        channel: "email",
        priority: "high",
        status: "queued",
        address: email,
        subject: message.subject,
        body: message.body,
        // Not the customer's business: only the dealership is told.
        expediente_id: null,
        vehicle_id: null,
        activation_id: null,
        customer_id: null,
        created_at: context.clock.now(),
      })
      .execute();
    await enqueue(tx, sendMailJob, [{ payload: { notificationId: id }, maxAttempts: mailAttempts }]);
  }
}
