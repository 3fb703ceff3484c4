import { type Kysely, sql } from "kysely";

// Each sale has its own buyer: the same customer may buy under another name, for a company or for another address. Of a
// customer's sales, the mail about one carries the password of the account.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table expedientes add column buyer jsonb;
    update expedientes as sale
    set buyer = jsonb_build_object(
      'kind', 'person', 'name', customer.name, 'givenName', null, 'familyName', null, 'identityDocument', null,
      'contactPerson', null, 'phone', customer.phone, 'address', customer.address)
    from customers as customer
    where customer.id = sale.customer_id;
    alter table expedientes
      alter column buyer set not null,
      add column carries_password boolean not null default false;
    update expedientes set carries_password = true where credentials_issued_at is not null;
  `.execute(db);
}
