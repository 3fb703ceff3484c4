import { type Kysely, sql } from "kysely";

// Webhooks are stored before they are judged. What partners are asked for has a record of how that goes, and a deadline
// at which it is looked up; what is under way gets both. A car is back at the dealership once the carrier says so. A mail that a later one
// has made pointless is not sent.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table received_webhooks
      add column body text,
      add column failure text,
      add column failed_at timestamptz;

    create table partner_requests (
      subject_id uuid primary key,
      partner text not null check (partner in ('factory', 'authority', 'carrier')),
      tries integer not null default 0,
      last_error text,
      next_try_at timestamptz,
      heard_at timestamptz not null,
      alarmed_at timestamptz
    );
    insert into partner_requests (subject_id, partner, heard_at)
    select id, 'factory', coalesce(placed_at, created_at) from orders where status not in ('completed', 'cancelled')
    union all
    select id, 'authority', requested_at from registrations where status = 'requested'
    union all
    select id, 'carrier', requested_at from transports
    where status in ('requested', 'scheduled', 'started', 'arrived', 'customerAbsent');
    insert into timers (kind, subject_id, due_at)
    select partner || 'Silent', subject_id, heard_at + interval '1 day' from partner_requests;

    alter table notifications drop constraint notifications_status_check;
    alter table notifications add constraint notifications_status_check
      check (status in ('queued', 'accepted', 'failed', 'overtaken', 'channelNotConfigured'));

    alter table transports add column called_off_at timestamptz;
    alter table vehicles add column back_at_dealership boolean not null default false;
    update vehicles set back_at_dealership = true
    where state = 'AtDealership' and id in (
      select vehicle_id from expedientes join transports on transports.expediente_id = expedientes.id
      where transports.status = 'returned');
  `.execute(db);
}
