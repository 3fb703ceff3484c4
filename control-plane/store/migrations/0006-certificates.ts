import { type Kysely, sql } from "kysely";

// Which certificates the fleet's authority gave to cars, and which cars and certificates are shut out.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table certificates (
      -- lower-case hexadecimal without leading zeros
      serial_number text primary key,
      vehicle_id uuid not null references vehicles,
      -- SHA-256 of the TLS key's SubjectPublicKeyInfo, base64url
      tls_key_thumbprint text not null,
      -- SHA-256 of what the car signed to get it, base64url: the same request again gets the same certificate;
      -- null for the first one, which the enrolment token guards
      request_hash text unique,
      pem text not null,
      issued_at timestamptz not null,
      not_after timestamptz not null
    );
    create index on certificates (vehicle_id, issued_at);

    create table revocations (
      id uuid primary key,
      vehicle_id uuid not null references vehicles,
      vin text not null,
      -- null: the car with every certificate and its password
      serial_number text references certificates,
      reason text not null,
      revoked_by text,
      revoked_at timestamptz not null
    );
    create unique index on revocations (vehicle_id, coalesce(serial_number, ''));

    -- One row. Its lock orders revocations, so that a version never says two things.
    create table revocation_list (
      one boolean primary key default true check (one),
      version integer not null
    );
    insert into revocation_list (version) values (1);

    insert into certificates (serial_number, vehicle_id, tls_key_thumbprint, pem, issued_at, not_after)
      select ltrim(lower(serial_number), '0'), vehicle_id, tls_key_thumbprint, certificate, used_at,
        used_at + interval '730 days'
      from enrolment_tokens
      where used_at is not null and serial_number is not null and certificate is not null;
  `.execute(db);
}
