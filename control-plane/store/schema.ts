import type { ColumnType, Generated, JSONColumnType } from "kysely";
import type { ActivationState } from "../rules/activation-machine.ts";
import type { MaintenanceStatus } from "../rules/maintenance-gate.ts";
import type { AskedPartner } from "../rules/partner-patience.ts";
import type { PaymentKind, PaymentSettlement, PaymentStatus } from "../rules/payment-machine.ts";
import type { EntitlementState, SaleStatus } from "../rules/statuses.ts";
import type { VehicleState } from "../rules/vehicle-machine.ts";

// The tables as Kysely sees them; store/migrations/ creates them. Timestamps are business time unless
// the column's comment says otherwise; money is integer minor units (cents).

type Nullable<T> = T | null;
/** jsonb that is inserted as JSON text, so that arrays are not mistaken for PostgreSQL arrays. */
type JsonOf<T extends object | null> = JSONColumnType<T, string, string>;
type OptionalJson<T extends object> = ColumnType<T | null, string | null | undefined, string | null>;
type DateOnly = ColumnType<string, string, string>;

export type Address = { street: string; city: string; postalCode: string; country: string };
export type IdentityDocument =
  | { kind: "dni" | "nie" | "cif"; number: string }
  | { kind: "passport"; number: string; country: string };
/** The person or company that a car is sold to, as this sale has it: the owner in its papers, the way to them. */
export type Buyer = {
  kind: "person" | "company";
  /** In full; a company's as it is registered. */
  name: string;
  givenName: string | null;
  familyName: string | null;
  identityDocument: IdentityDocument | null;
  /** The person to speak to at a company. */
  contactPerson: string | null;
  phone: string;
  address: Address;
};
export type PlanLine = { code: string; name: string; priceCents: number };
/** Base and chosen options with the prices of the day of the sale. */
export type PlanComercial = { base: PlanLine; options: readonly PlanLine[] };
export type Configuration = { readonly [key: string]: unknown };

export type Database = {
  dealerships: { id: string; name: string };
  customers: {
    id: string;
    name: string;
    email: string;
    phone: string;
    address: JsonOf<Address>;
    created_at: Date;
    /** The gateway's own customer, who keeps the cards. */
    gateway_customer_id: Nullable<string>;
  };
  auth_users: {
    id: string;
    name: string;
    email: string;
    emailVerified: Generated<boolean>;
    image: Nullable<string>;
    role: "admin" | "sales" | "support" | "customer";
    dealershipId: Nullable<string>;
    customerId: Nullable<string>;
    createdAt: Generated<Date>;
    updatedAt: Generated<Date>;
  };
  auth_sessions: {
    id: string;
    userId: string;
    token: string;
    expiresAt: Date;
    createdAt: Generated<Date>;
    updatedAt: Generated<Date>;
  };
  auth_accounts: {
    id: string;
    userId: string;
    accountId: string;
    providerId: string;
    password: Nullable<string>;
    createdAt: Generated<Date>;
    updatedAt: Generated<Date>;
  };
  vehicles: {
    id: string;
    vin: Nullable<string>;
    state: VehicleState | "start" | "end";
    owner_customer_id: Nullable<string>;
    reservation_paid: Generated<boolean>;
    factory_order_placed: Generated<boolean>;
    manufacturing_complete: Generated<boolean>;
    final_payment: Generated<"none" | "received" | "failed">;
    registration: Generated<"none" | "requested" | "recorded">;
    transport: Generated<"none" | "arranged">;
    physically_delivered: Generated<boolean>;
    /** Nobody was at home, and the carrier has brought it back. */
    back_at_dealership: Generated<boolean>;
    app_linked_at: Nullable<Date>;
    order_cancelled: Generated<boolean>;
    created_at: Date;
  };
  expedientes: {
    id: string;
    reference: string;
    customer_id: string;
    dealership_id: string;
    vehicle_id: string;
    sold_by: string;
    buyer: JsonOf<Buyer>;
    status: Generated<SaleStatus>;
    plan_comercial: JsonOf<PlanComercial>;
    price_cents: number;
    reservation_cents: number;
    currency: string;
    username: Nullable<string>;
    credentials_issued_at: Nullable<Date>;
    /** The mail about this sale has the password of the customer's account. */
    carries_password: Generated<boolean>;
    vin: Nullable<string>;
    final_payment_asked_at: Nullable<Date>;
    final_payment_due_at: Nullable<Date>;
    final_payment_tries: Generated<number>;
    final_payment_refusals: Generated<number>;
    registration_document: OptionalJson<{ authorityId: string; plate: string; registeredOn: string }>;
    delivery: OptionalJson<{
      status: "success" | "failed";
      at: string;
      receivedBy: string | null;
      place: string;
    }>;
    created_at: Date;
  };
  orders: {
    id: string;
    expediente_id: string;
    vehicle_id: string;
    reference: string;
    status: "placing" | "placed" | "inManufacturing" | "completed" | "cancelled";
    configuration: JsonOf<{ base: string; options: readonly string[] }>;
    factory_order_id: Nullable<string>;
    progress_percent: Generated<number>;
    milestone: Nullable<string>;
    eta: Nullable<Date>;
    vin: Nullable<string>;
    placed_at: Nullable<Date>;
    created_at: Date;
  };
  registrations: {
    id: string;
    expediente_id: string;
    reference: string;
    status: "requested" | "recorded";
    authority_id: Nullable<string>;
    plate: Nullable<string>;
    registered_on: Nullable<DateOnly>;
    requested_at: Date;
    recorded_at: Nullable<Date>;
  };
  transports: {
    id: string;
    expediente_id: string;
    reference: string;
    status:
      | "requested"
      | "scheduled"
      | "started"
      | "arrived"
      | "delivered"
      | "customerAbsent"
      | "returned"
      | "replaced"
      | "refused";
    carrier_transport_id: Nullable<string>;
    requested_date: DateOnly;
    scheduled_date: Nullable<DateOnly>;
    driver: Nullable<string>;
    route: OptionalJson<readonly string[]>;
    received_by: Nullable<string>;
    /** The carrier has confirmed that a replaced one does not drive. */
    called_off_at: Nullable<Date>;
    arranged_by: string;
    requested_at: Date;
  };
  /** How it goes with what partners are asked for. `subject_id`: the order, registration or transport. */
  partner_requests: {
    subject_id: string;
    partner: AskedPartner;
    tries: Generated<number>;
    last_error: Nullable<string>;
    /** Real time. `null`: nothing is tried by itself. */
    next_try_at: Nullable<Date>;
    /** The last news. */
    heard_at: Date;
    /** A person has the task of finding out. */
    alarmed_at: Nullable<Date>;
  };
  link_codes: {
    vehicle_id: string;
    display_id: string;
    code_hash: string;
    customer_id: string;
    expires_at: Date;
    tries_left: number;
  };
  payments: {
    id: string;
    kind: PaymentKind;
    expediente_id: Nullable<string>;
    activation_id: Nullable<string>;
    customer_id: string;
    amount_cents: number;
    currency: string;
    method: "card" | "cash" | "transfer";
    payment_method: Nullable<string>;
    status: PaymentStatus;
    gateway_payment_id: Nullable<string>;
    decline_reason: Nullable<string>;
    capture_before: Nullable<Date>;
    settlement: PaymentSettlement;
    recorded_by: Nullable<string>;
    created_at: Date;
    settled_at: Nullable<Date>;
    /** Row of the presumption rules. */
    waits_because: Nullable<string>;
    refunded_cents: Generated<number>;
    /** The bank's page. */
    confirm_url: Nullable<string>;
    confirm_by: Nullable<Date>;
    payer: Nullable<string>;
    checked_by: Nullable<string>;
    /** What the gateway took, which may be another amount than the one asked for. */
    captured_cents: Nullable<number>;
    /** Where the gateway's record is not of this payment. */
    mismatch: Nullable<"reference" | "currency" | "amount">;
  };
  presumptions: {
    payment_id: string;
    customer_id: string;
    amount_cents: number;
    presumed_at: Date;
    reconcile_by: Date;
    outcome: Generated<"open" | "confirmed" | "compensated" | "dropped">;
    reason: Nullable<string>;
    settled_at: Nullable<Date>;
  };
  /** `scope`: a customer's id, or "all". */
  payment_exposure: { scope: string; open_cents: number };
  refunds: {
    id: string;
    payment_id: string;
    amount_cents: number;
    reason: string;
    status: "requested" | "done" | "refused" | "failed";
    gateway_refund_id: Nullable<string>;
    requested_by: Nullable<string>;
    created_at: Date;
    settled_at: Nullable<Date>;
  };
  charge_backs: {
    gateway_dispute_id: string;
    payment_id: string;
    amount_cents: number;
    reason: string;
    status: "open" | "won" | "lost";
    opened_at: Date;
    closed_at: Nullable<Date>;
  };
  ledger_transactions: {
    id: string;
    payment_id: string;
    kind: string;
    at: Date;
    effect_id: Nullable<string>;
  };
  ledger_postings: { transaction_id: string; account: string; amount_cents: number; currency: string };
  catalog_plans: {
    code: string;
    name: string;
    price_cents: number;
    reservation_cents: number;
    configuration: JsonOf<Configuration>;
    maintenance_months: number;
    maintenance_km: number;
  };
  catalog_options: { code: string; name: string; price_cents: number; configuration: JsonOf<Configuration> };
  catalog_services: {
    id: string;
    code: string;
    name: string;
    description: string;
    price_cents: number;
    currency: string;
    duration_days: number;
    depends_on_maintenance: Generated<boolean>;
    configuration: JsonOf<Configuration>;
    offered: Generated<boolean>;
  };
  vehicle_links: {
    vehicle_id: string;
    vin: string;
    proof_public_key: Nullable<string>;
    manifest_version: Generated<number>;
    manifest_hash: string;
    active_version: Generated<number>;
    active_hash: string;
    report_seq: Generated<number>;
    report_sent_at: Nullable<Date>;
    report_taken_at: Nullable<Date>;
    key_set_version: Generated<number>;
    presence: Generated<"unknown" | "online" | "offline">;
    presence_connection: Generated<number>;
    unproved_activation_id: Nullable<string>;
    unproved_since: Nullable<Date>;
    unproved_version: Nullable<number>;
  };
  entitlements: {
    id: string;
    vehicle_id: string;
    source: "plan" | "service";
    code: string;
    configuration: JsonOf<Configuration>;
    duration_seconds: Nullable<number>;
    state: EntitlementState;
    end_reason: Nullable<string>;
    valid_until: Nullable<Date>;
    created_at: Date;
    proved_at: Nullable<Date>;
    /** Taken back, or at the end of its term, business time; it ends when the car no longer holds it. */
    withdrawn_at: Nullable<Date>;
    ended_at: Nullable<Date>;
  };
  activations: {
    id: string;
    vehicle_id: string;
    customer_id: string;
    service_id: string;
    entitlement_id: Nullable<string>;
    state: ActivationState | "start" | "end";
    price_cents: number;
    currency: string;
    duration_days: number;
    maintenance_status: Nullable<MaintenanceStatus | "notRequired">;
    maintenance_checked_at: Nullable<Date>;
    payment_method: string;
    capture_before: Nullable<Date>;
    payment_confirmed: Generated<boolean>;
    attempts_used: Generated<number>;
    attempts_allowed: number;
    retry_at: Nullable<Date>;
    end_reason: Nullable<string>;
    created_at: Date;
    queued_at: Nullable<Date>;
    ended_at: Nullable<Date>;
    presumed_until: Nullable<Date>;
  };
  /** What each car must hold now, and former versions that carried a purchase. */
  manifests: {
    vehicle_id: string;
    version: number;
    hash: string;
    entries: JsonOf<readonly unknown[]>;
    activation_id: Nullable<string>;
    created_at: Date;
  };
  attempts: {
    activation_id: string;
    attempt: number;
    vehicle_id: string;
    version: number;
    started_at: Date;
    ended_at: Nullable<Date>;
    result: Nullable<"applied" | "failed" | "superseded">;
    reason: Nullable<string>;
    failure_class: Nullable<string>;
    report: Nullable<string>;
  };
  /** `report`: see contract/report-proof.ts. */
  plan_proofs: { vehicle_id: string; version: number; report: Buffer };
  manifest_dispatches: {
    vehicle_id: string;
    due_at: Date;
    sends: Generated<number>;
    first_sent_at: Nullable<Date>;
  };
  displays: {
    id: string;
    vehicle_id: string;
    content: JsonOf<object>;
    issued_at: Date;
    expires_at: Date;
    acknowledged_at: Nullable<Date>;
    result: Nullable<string>;
  };
  steps: {
    id: Generated<number>;
    expediente_id: Nullable<string>;
    vehicle_id: Nullable<string>;
    activation_id: Nullable<string>;
    event: string;
    from_state: Nullable<string>;
    to_state: Nullable<string>;
    arrow: Nullable<string>;
    automation_row: Nullable<string>;
    automatic: boolean;
    actor_kind: "system" | "staff" | "customer" | "partner" | "vehicle";
    actor_id: Nullable<string>;
    detail: ColumnType<object, string | undefined, string>;
    at: Date;
    /** Real time. */
    recorded_at: Generated<Date>;
  };
  notifications: {
    id: string;
    row_id: string;
    event: string;
    recipient: string;
    channel: "email" | "sms" | "push" | "inApp";
    priority: string;
    status: "queued" | "accepted" | "failed" | "overtaken" | "channelNotConfigured";
    address: Nullable<string>;
    subject: Nullable<string>;
    body: Nullable<string>;
    expediente_id: Nullable<string>;
    vehicle_id: Nullable<string>;
    activation_id: Nullable<string>;
    customer_id: Nullable<string>;
    provider_id: Nullable<string>;
    last_error: Nullable<string>;
    created_at: Date;
    sent_at: Nullable<Date>;
  };
  tasks: {
    id: string;
    kind: string;
    team: "dealership" | "support";
    title: string;
    detail: ColumnType<object, string | undefined, string>;
    status: Generated<"open" | "resolved">;
    expediente_id: Nullable<string>;
    vehicle_id: Nullable<string>;
    activation_id: Nullable<string>;
    dealership_id: Nullable<string>;
    created_at: Date;
    resolved_at: Nullable<Date>;
    resolved_by: Nullable<string>;
    resolution: Nullable<string>;
  };
  timers: { kind: string; subject_id: string; due_at: Date };
  jobs: {
    id: Generated<number>;
    kind: string;
    payload: JsonOf<object>;
    key: Nullable<string>;
    /** Real time. */
    due_at: Date;
    attempts: Generated<number>;
    max_attempts: number;
    taken_by: Nullable<number>;
    last_error: Nullable<string>;
  };
  idempotency_keys: {
    principal: string;
    key: string;
    route: string;
    body_hash: string;
    status: Generated<number>;
    body: OptionalJson<object>;
    created_at: Generated<Date>;
  };
  /** rate-limiter-flexible's; `expire` in ms since 1970. */
  try_limits: { key: string; points: Generated<number>; expire: Nullable<number> };
  received_webhooks: {
    source: string;
    id: string;
    type: string;
    /** As it came. */
    body: Nullable<string>;
    /** Real time. */
    received_at: Generated<Date>;
    /** Why it could not be taken in the end. */
    failure: Nullable<string>;
    failed_at: Nullable<Date>;
  };
  enrolment_tokens: {
    vehicle_id: string;
    vin: string;
    token_hash: string;
    expires_at: Date;
    used_at: Nullable<Date>;
    tls_key_thumbprint: Nullable<string>;
    proof_public_key: Nullable<string>;
    certificate: Nullable<string>;
    serial_number: Nullable<string>;
    handed_over_at: Nullable<Date>;
    issue: Generated<number>;
    issued_at: Nullable<Date>;
  };
  certificates: {
    serial_number: string;
    vehicle_id: string;
    tls_key_thumbprint: string;
    request_hash: Nullable<string>;
    pem: string;
    issued_at: Date;
    not_after: Date;
  };
  revocations: {
    id: string;
    vehicle_id: string;
    vin: string;
    serial_number: Nullable<string>;
    reason: string;
    revoked_by: Nullable<string>;
    revoked_at: Date;
  };
  revocation_list: { version: number };
  trust_root: { one: Generated<boolean>; public_key: string; authority: string; recorded_at: Date };
};
