import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { describeTask } from "../../rules/task-table.ts";
import type { Transaction } from "../../store/database.ts";
import { loadViews } from "./load-views.ts";
import type { Templates } from "./templates.ts";

import { writeNotifications } from "./write-notifications.ts";

/** Mails the dealerships' tasks to their sales staff ("Notification Triggers and Channels": Email → Employee). */
export async function announceTasks(
  context: Context,
  tx: Transaction,
  templates: Templates,
  all: readonly DomainEvents["taskNeeded"][],
): Promise<void> {
  const tasks = await loadViews(
    tx,
    all.flatMap((needed) => {
      const { team, title } = describeTask(needed, needed.subject);
      return team === "dealership" ? [{ title, detail: needed.detail ?? {}, subject: needed.subject }] : [];
    }),
  );
  const staff = await tx
    .selectFrom("auth_users")
    .where("role", "=", "sales")
    .where(sql<boolean>`"dealershipId" = any(${tasks.map(({ about }) => about.dealershipId)}::uuid[])`)
    .orderBy("id")
    .select(["name", "email", "dealershipId"])
    .execute();
  const written = tasks.flatMap(({ title, detail, about }) => {
    const facts = Object.entries(detail).map(([label, value]) => ({ label, value: String(value) }));
    return staff
      .filter(({ dealershipId }) => dealershipId === about.dealershipId)
      .map(({ name, email }) => ({
        // No row of the notification table: a task's message.
        row_id: "task",
        event: "Task for the dealership",
        recipient: "dealership",
        channel: "email" as const,
        priority: "high",
        address: email,
        ...templates.render("task", {
          ...about.view,
          recipient: { name },
          task: { title, facts },
        }),
        // Not the customer's business: only the dealership is told.
        expediente_id: null,
        vehicle_id: null,
        activation_id: null,
        customer_id: null,
      }));
  });
  await writeNotifications(context, tx, written);
}
