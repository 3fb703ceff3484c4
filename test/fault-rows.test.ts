import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTitles } from "../docs/tools/read-titles.ts";
import { listFiles, root } from "./house/source-files.ts";

// What must end well, whatever happens between platform and cars. Each is proved by tests that name its number.

const faults: Readonly<Record<number, string>> = {
  1: "kill -9 of the broker: every activation in flight ends active and captured, or given up and voided, once",
  2: "kill -9 of the control plane between commit and publish: the work goes on, the car applies once",
  3: "kill -9 of the agent after applying: the same result is reported, nothing is applied again",
  4: "duplicated, reordered, very late manifests: one effect, older versions refused",
  5: "a manifest for another car, altered, or by an unknown or revoked key: refused and reported",
  6: "an entry past its applyBefore after a long sleep: refused, nobody is charged",
  7: "the car's clock set back: judged by the highest trusted time",
  8: "a compromised broker: nothing unsigned or replayed has an effect",
  9: "power lost at any step of applying: the old or the new configuration, never between",
  10: "oversized or malformed messages: refused and counted, the process stays up",
  11: "no certificate, a foreign authority, an expired one: closed before anything is stored",
  12: "one car's certificate with another's client id: refused, the other stays connected",
  13: "a revoked car: its live session is cut, reconnecting is refused",
  14: "listening to others' topics: refused, no data",
  15: "publishing, wills and retained messages outside one's own tree: refused, nothing stored",
  16: "a huge frame before authentication: closed at the header",
  17: "a subscriber that never reads: the others are served",
  18: "CONNECT never sent, an absurd keep-alive: closed",
  19: "the whole fleet reconnects at once: all come back, nobody starves, people are answered",
  20: "Redis goes and comes back: the broker stays up and says so, presences are known again",
  21: "PostgreSQL goes and comes back: clear refusals, nothing acknowledged is lost, work goes on unaided",
  22: "one Idempotency-Key in fifty calls at once: one effect, the same answer",
  23: "an Idempotency-Key with another body: refused, no effect",
  24: "the gateway is silent, having charged or not: presumed or waited for, never charged twice",
  25: "webhooks forged, old, doubled, reordered, lost: refused, one effect, reconciliation finds the lost one",
  26: "given up while the car's proof is on its way: voided once, the car ends without the service",
  27: "refunds and cancellations race: never more than was captured, the ledger sums to zero",
  28: "factory or registry silent, having done it: looked up by our reference, done once",
  29: "the workshops' system slow, down or talking nonsense: denied in time, with the reason",
  30: "others' ids, every role on every route: nothing is seen or done",
};

/** Numbers in titles of tests that run: of a test, of a group of them, of a row of a table. */
const named = new Set(
  listFiles(".test.ts")
    .flatMap((path) => readTitles(readFileSync(join(root, path), "utf8"), path))
    .flatMap(({ written, filled }) => [written, ...filled])
    .flatMap((title) => [...title.matchAll(/\bfault (\d+)\b/g)])
    .map(([, number]) => Number(number)),
);

test.each(Object.entries(faults))("%s is proved by a test that names it: %s", (number) => {
  expect(named.has(Number(number))).toBe(true);
});
