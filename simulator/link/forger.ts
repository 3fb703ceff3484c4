import { createPrivateKey, sign } from "node:crypto";
import { exportPublicKey, type SigningKey, thumbprintOf } from "@caas/contract/jws.ts";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";

/**
 * Added to every `version` and `seq` in a document that is signed again with the wrong key: a part that believes it
 * shows it by a number that no other part uses.
 */
export const forgedOffset = 1_000_000;

/** What a compromised broker could turn a packet into. */
export type Forger = {
  /**
   * A false version of a signed text: a flipped bit, or other content signed with a key of the forger's, under
   * its own name or under the true one's. `null` for what is not signed and so cannot be forged in this sense.
   */
  forge(token: string, draw: number): string | null;
};

/** The fixed head of an Ed25519 private key in PKCS #8 (RFC 8410, 10.3). */
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");

function keyOf(seed: number): SigningKey {
  const random = seededRandom(deriveSeed(seed, "forger"));
  const secret = Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256));
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Head, secret]),
    format: "der",
    type: "pkcs8",
  });
  return { kid: thumbprintOf(exportPublicKey(privateKey)), privateKey };
}

export function createForger(seed: number): Forger {
  const key = keyOf(seed);
  return {
    forge(token, draw) {
      const [header, payload] = token.split(".").map(readPart);
      if (header === undefined || payload === undefined) return null;
      const choice = draw * 3;
      const particular = choice % 1;
      if (choice < 1) return flipBit(token, particular);
      const kid = choice < 2 ? header.kid : key.kid;
      const signed = `${writePart({ ...header, kid })}.${writePart(counterfeit(payload))}`;
      return `${signed}.${sign(null, Buffer.from(signed), key.privateKey).toString("base64url")}`;
    },
  };
}

function counterfeit(payload: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const copy = { ...payload };
  for (const name of ["version", "seq"]) {
    const value = copy[name];
    if (typeof value === "number") copy[name] = value + forgedOffset;
  }
  return copy;
}

/** One of the lower seven bits: a signed text stays ASCII. */
function flipBit(token: string, draw: number): string {
  const bit = Math.floor(draw * token.length * 7);
  const at = Math.floor(bit / 7);
  const flipped = String.fromCharCode(token.charCodeAt(at) ^ (1 << (bit % 7)));
  return `${token.slice(0, at)}${flipped}${token.slice(at + 1)}`;
}

function writePart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function readPart(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
