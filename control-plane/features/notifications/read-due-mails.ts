import { sql } from "kysely";
import { overtakenBy } from "../../rules/notification-rows.ts";
import type { Db } from "../../store/database.ts";
import type { Notification } from "./record-mails.ts";

/** `isOvertaken`: a later message about the same sale has made it pointless. */
export type DueMail = { notification: Notification; isOvertaken: boolean };

const overtaken = Object.entries(overtakenBy).flatMap(([row, by]) => by.map((later) => ({ row, later })));

/**
 * For each id, the mails that are still queued before it for the same sale and address, oldest first, and last the one
 * itself. @throws when one is missing
 */
export async function readDueMails(db: Db, ids: readonly string[]): Promise<DueMail[][]> {
  const { rows } = await sql<Notification & { asked_id: string; is_overtaken: boolean }>`
    select asked.id as asked_id, mail.*,
           mail.row_id = any(${overtaken.map(({ row }) => row)}::text[]) and exists (
             select from notifications as later
             join unnest(${overtaken.map(({ row }) => row)}::text[], ${overtaken.map(({ later }) => later)}::text[])
               as pair (row_id, later_id) on pair.row_id = mail.row_id and pair.later_id = later.row_id
             where later.expediente_id = mail.expediente_id and later.channel = 'email' and later.id > mail.id
           ) as is_overtaken
    from unnest(${[...ids]}::uuid[]) as asked (id)
    join notifications as own on own.id = asked.id
    cross join lateral (
      select own.*
      union all
      select earlier.* from notifications as earlier
      where earlier.expediente_id = own.expediente_id and earlier.address = own.address
        and earlier.channel = 'email' and earlier.status = 'queued' and earlier.id < own.id
    ) as mail
    order by mail.id`.execute(db);
  const byAsked = Map.groupBy(rows, ({ asked_id }) => asked_id);
  return ids.map((id) => {
    const mails = byAsked.get(id);
    if (mails === undefined) throw new Error(`no notification ${id}`);
    return mails.map(({ asked_id: _asked, is_overtaken: isOvertaken, ...notification }) => ({
      notification,
      isOvertaken,
    }));
  });
}
