import { type Kysely, sql } from "kysely";

// Sign-in (better-auth's four tables under our names), customers, dealerships.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table dealerships (
      id uuid primary key,
      name text not null unique
    );

    create table customers (
      id uuid primary key,
      name text not null,
      email text not null unique check (email = lower(email)),
      phone text not null,
      address jsonb not null,
      created_at timestamptz not null
    );

    create table auth_users (
      id text primary key,
      name text not null,
      email text not null unique,
      "emailVerified" boolean not null default false,
      image text,
      role text not null check (role in ('admin', 'sales', 'support', 'customer')),
      "dealershipId" uuid references dealerships,
      "customerId" uuid unique references customers,
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now(),
      check ((role = 'customer') = ("customerId" is not null)),
      check (role <> 'sales' or "dealershipId" is not null)
    );

    create table auth_sessions (
      id text primary key,
      "userId" text not null references auth_users on delete cascade,
      token text not null unique,
      "expiresAt" timestamptz not null,
      "ipAddress" text,
      "userAgent" text,
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now()
    );
    create index on auth_sessions ("userId");

    create table auth_accounts (
      id text primary key,
      "userId" text not null references auth_users on delete cascade,
      "accountId" text not null,
      "providerId" text not null,
      "accessToken" text,
      "refreshToken" text,
      "idToken" text,
      "accessTokenExpiresAt" timestamptz,
      "refreshTokenExpiresAt" timestamptz,
      scope text,
      password text,
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now(),
      unique ("providerId", "accountId")
    );
    create index on auth_accounts ("userId");

    create table auth_verifications (
      id text primary key,
      identifier text not null,
      value text not null,
      "expiresAt" timestamptz not null,
      "createdAt" timestamptz not null default now(),
      "updatedAt" timestamptz not null default now()
    );
    create index on auth_verifications (identifier);
  `.execute(db);
}
