import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { describeTask } from "../../rules/task-table.ts";
import type { Transaction } from "../../store/database.ts";
import { loadViews } from "./load-views.ts";
import { formatMoney, type Templates } from "./templates.ts";

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
      const { team, ...task } = describeTask(needed, needed.subject);
      const { detail = {}, subject, causedBy = null } = needed;
      return team === "dealership" ? [{ ...task, detail, subject, causedBy }] : [];
    }),
  );
  const staff = await tx
    .selectFrom("auth_users")
    .where("role", "=", "sales")
    .where(sql<boolean>`"dealershipId" = any(${tasks.map(({ about }) => about.dealershipId)}::uuid[])`)
    .orderBy("id")
    .select(["id", "name", "email", "dealershipId"])
    .execute();
  const written = tasks.flatMap(({ title, toDo, closesWith, detail, causedBy, about }) => {
    const { purchase } = about.view;
    const facts = Object.entries(detail).map(([name, value]) => factOf(name, value, purchase?.currency));
    const colleagues = staff.filter(({ dealershipId }) => dealershipId === about.dealershipId);
    const others = colleagues.filter(({ id }) => id !== causedBy);
    return (others.length === 0 ? colleagues : others).map(({ name, email }) => ({
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
        task: { title, toDo, closesWith, facts },
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

/** A detail of a task for people: `amountCents: 3899000` is "amount: €38,990.00". */
function factOf(name: string, value: string | number, currency: string | undefined) {
  const isMoney = name.endsWith("Cents") && typeof value === "number" && currency !== undefined;
  const label = (isMoney ? name.replace(/Cents$/, "") : name).replaceAll(
    /[A-Z]/g,
    (letter) => ` ${letter.toLowerCase()}`,
  );
  return { label, value: isMoney ? formatMoney(value, currency) : String(value) };
}
