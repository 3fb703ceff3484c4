import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const latencyBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300];

/** The control plane's metrics: name, help, labels. Labels are kinds and reasons: never a VIN, an order or a person. */
export function defineMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Gauge({ name, help, labelNames, registers });
  const histogram = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Histogram({ name, help, labelNames, registers, buckets: latencyBuckets });
  // biome-ignore format: one row a line
  return {
    activationMoves:    counter("caas_activation_moves_total",      ["event", "to"],                 "Moves of service activations, by event and the state they led to"),
    vehicleMoves:       counter("caas_vehicle_moves_total",         ["event", "to"],                 "Moves of vehicles, by event and the state they led to"),
    attempts:           counter("caas_activation_attempts_total",   ["attempt", "result", "reason"], "Ended over-the-air attempts: first or retry, applied or failed, and why"),
    outcomes:           counter("caas_activation_outcomes_total",   ["outcome", "reason"],           "Activations that are over: active at the first attempt, active after retries, given up, or never attempted because the car stayed away"),
    activationSeconds:  histogram("caas_activation_seconds",        [],                              "From the hold's commit to the commit of the car's signed report"),
    maintenanceSeconds: histogram("caas_maintenance_check_seconds", ["status"],                      "Answer time of the workshops' system, by what it said"),
    requestSeconds:     histogram("caas_http_request_seconds",      ["method", "route", "status"],   "REST requests by route and status"),
    sent:               counter("caas_manifests_sent_total",        [],                              "Manifests handed to the broker"),
    taken:              counter("caas_link_messages_total",         [],                              "Messages of cars taken in"),
    refused:            counter("caas_link_messages_refused_total", ["reason"],                      "Messages of cars refused, by reason: security events"),
    webhooks:           counter("caas_webhooks_total",              ["source", "outcome"],           "Messages of partners: received, duplicate or forged"),
    webhooksIgnored:    counter("caas_webhooks_ignored_total",      ["source", "reason"],            "Messages received from partners from which nothing followed: of an unknown type, about nothing of ours, unreadable, or refused until the last try"),
    jobs:               gauge("caas_jobs",                          ["task", "status"],              "Jobs by kind: waiting, or out of attempts"),
    due:                gauge("caas_manifests_due",                 [],                              "Cars a manifest is on the way to or waits for"),
    states:             gauge("caas_activations",                   ["state"],                       "Activations by state"),
    online:             gauge("caas_cars_online",                   [],                              "Cars known to be online"),
    tasks:              gauge("caas_open_tasks",                    ["team"],                        "Open tasks by team"),
    notifications:      gauge("caas_notifications",                 ["channel", "status"],           "Notifications by channel and status"),
    violations:         gauge("caas_invariant_violations",          ["invariant"],                   "Activations with money without service, or service without money; 0 at all times"),
    oldestViolation:    gauge("caas_invariant_oldest_seconds",      ["invariant"],                   "Age of the oldest such activation"),
    tolerated:          gauge("caas_invariant_tolerated",           ["invariant", "reason"],         "Activations whose money and service differ on purpose for a while: presumed payments before their deadline, services of charged-back payments until the car has let go"),
    presumedOpen:       gauge("caas_presumed_open_cents",           [],                              "What is delivered on presumed payments that are not known yet, in cents"),
    presumed:           gauge("caas_presumed_payments",             ["outcome"],                     "Presumed payments by what became of them"),
    keySetVersion:      gauge("caas_key_set_version",               [],                              "Version of the signed key set in force here"),
    keySetAge:          gauge("caas_key_set_age_seconds",           [],                              "Since that set was issued: the last rotation, revocation or extension of signing keys"),
    revocationVersion:  gauge("caas_revocation_list_version",       [],                              "Version of the list of revoked cars; the broker's should be the same"),
    revocationAge:      gauge("caas_revocation_list_age_seconds",   [],                              "Since the newest revocation; 0 where there is none"),
  };
}
