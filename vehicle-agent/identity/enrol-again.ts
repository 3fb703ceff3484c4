import { hash } from "node:crypto";
import {
  type EnrolmentPackage,
  type EnrolmentResponse,
  enrolmentPackageSchema,
  enrolmentResponseSchema,
} from "@caas/contract/enrolment.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import { beginJournal } from "../change/journal.ts";
import { otherSlot, planSlot } from "../change/slots.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { keySetFileName, saveIdentity, saveLinkCredentials } from "./identity.ts";
import { type CarKeys, makeCarKeys, proofKeyName, tlsKeyName } from "./keys.ts";

// An enrolled car that is given another package becomes a new car under its VIN: new keys, a new journal, an empty
// configuration. The change is written down as a whole before anything of it is done, and done again after a crash.

const fileName = "enrolment-next.json";
/** A text is never removed: an empty one says that there is none. */
const none = "";

const nextSchema = z.strictObject({
  package: enrolmentPackageSchema,
  keys: z.strictObject({ tlsKeyPem: z.string(), proofKeyPem: z.string() }),
  answer: enrolmentResponseSchema.nullable(),
});
type Next = z.infer<typeof nextSchema>;

/** Tells packages apart without keeping their tokens. */
export function markOfPackage({ token }: EnrolmentPackage): string {
  return hash("sha256", token, "base64url");
}

async function readNext(storage: AgentStorage): Promise<Next | null> {
  const parsed = nextSchema.safeParse(parseJson((await storage.read(fileName)) ?? none));
  return parsed.success ? parsed.data : null;
}

/** The keys for `given`: after a crash the same, because the control plane may know them already. */
export async function keysForNext(storage: AgentStorage, given: EnrolmentPackage): Promise<CarKeys> {
  const begun = await readNext(storage);
  if (begun !== null && begun.package.token === given.token) return begun.keys;
  const keys = makeCarKeys();
  await storage.write(fileName, JSON.stringify({ package: given, keys, answer: null } satisfies Next));
  return keys;
}

/** The answer is believed: from here on the car has its new identity, whatever happens. */
export async function becomeNext(
  storage: AgentStorage,
  given: EnrolmentPackage,
  keys: CarKeys,
  answer: EnrolmentResponse,
): Promise<void> {
  await storage.write(fileName, JSON.stringify({ package: given, keys, answer } satisfies Next));
  await finishEnrolment(storage);
}

/** Ends what a crash left open; call it before the identity is read. */
export async function finishEnrolment(storage: AgentStorage): Promise<void> {
  const next = await readNext(storage);
  if (next === null || next.answer === null) return;
  const { package: given, keys, answer } = next;
  const { vin, certificate, brokerCa, broker, keySet, connection = 0 } = answer;
  const { rootPublicKey, controlPlaneUrl } = given;
  const empty = otherSlot((await storage.slots.active()) ?? "b");
  await storage.slots.stage(empty, planSlot({ version: 0, entries: [] }).files);
  await storage.slots.activate(empty);
  await beginJournal(storage, emptyManifestHash, connection);
  await storage.write(keySetFileName, keySet);
  await storage.write(tlsKeyName, keys.tlsKeyPem);
  await storage.write(proofKeyName, keys.proofKeyPem);
  await saveLinkCredentials(storage, {
    present: { certificate, tlsKeyPem: keys.tlsKeyPem, brokerCa },
    former: null,
  });
  await saveIdentity(storage, {
    ...{ vin, rootPublicKey, controlPlaneUrl, certificate, brokerCa, broker },
    package: markOfPackage(given),
  });
  await storage.write(fileName, none);
}
