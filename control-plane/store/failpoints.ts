import { writeSync } from "node:fs";
import { createFailpointTable } from "@caas/contract/failpoints.ts";

// Places where a kill -9 is rehearsed (CAAS_FAILPOINTS). Outside a rehearsal a place is not armed and does nothing.

/** Every place, and what is true there: some of the work is done and the rest is not. */
export const failpoints = {
  "request-committed-before-answer": "the request is done and the caller does not know it",
  "job-taken-before-run": "a job is taken and none of its work is done",
  "job-done-before-marked": "a job's work is done and the queue does not know it",
  "deadline-handled-before-commit": "a deadline's work is done in a transaction that will not commit",
  "maintenance-answered-before-recorded": "the workshops have answered and the answer is not recorded",
  "hold-not-yet-asked": "a payment is to be held and the bank has not been asked",
  "hold-made-before-recorded": "the bank holds money that our books do not know of",
  "capture-decided-before-asked": "the car has proved, the capture is decided, the bank does not know it",
  "capture-made-before-recorded": "the bank has taken money that our books call held",
  "release-decided-before-asked": "the hold is to be let go and the bank does not know it",
  "release-made-before-recorded": "the bank has let go what our books call held",
  "version-committed-before-dispatch": "a car's new version is written and nothing is on its way",
  "dispatches-claimed-before-publish": "versions count as sent and no car will receive them",
  "messages-committed-before-acknowledge": "cars' messages are taken in and the broker does not know it",
} as const satisfies Record<string, string>;

export const {
  parse: parseFailpoints,
  arm: armFailpoints,
  pass: passFailpoint,
} = createFailpointTable(failpoints, (line) => writeSync(process.stderr.fd, line));
