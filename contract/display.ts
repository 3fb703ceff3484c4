import * as z from "zod";
import { type SigningKey, signJws, type VerifyingKey, verifyJws } from "./jws.ts";
import { type Vin, vinSchema } from "./vin.ts";

// Messages on the car's own screen: notices, and the code that links the app to the car.

export const displaySchema = z.strictObject({
  vin: vinSchema,
  id: z.uuid(),
  content: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("linkingCode"), code: z.string().regex(/^[0-9]{6}$/) }),
    z.strictObject({ kind: z.literal("notice"), title: z.string().max(80), body: z.string().max(500) }),
  ]),
  issuedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
});
export type Display = z.infer<typeof displaySchema>;

export const displayAckSchema = z.strictObject({
  vin: vinSchema,
  id: z.uuid(),
  result: z.enum(["shown", "expired"]),
  at: z.iso.datetime(),
});
export type DisplayAck = z.infer<typeof displayAckSchema>;

export function signDisplay(display: Display, key: SigningKey): string {
  return signJws("caas-display+jws", display, key);
}

export function signDisplayAck(ack: DisplayAck, key: SigningKey): string {
  return signJws("caas-display-ack+jws", ack, key);
}

function verifyAddressed<T extends { vin: Vin }>(
  typ: "caas-display+jws" | "caas-display-ack+jws",
  schema: z.ZodType<T>,
  token: string,
  vin: Vin,
  keyOf: (kid: string) => VerifyingKey | undefined,
): T | null {
  const result = verifyJws(typ, token, keyOf);
  if (result.kind === "refused") return null;
  const parsed = schema.safeParse(result.payload);
  return parsed.success && parsed.data.vin === vin ? parsed.data : null;
}

/** The message, or `null` if it is forged, malformed or for another car. The caller judges expiry. */
export function verifyDisplay(
  token: string,
  vin: Vin,
  keyOf: (kid: string) => VerifyingKey | undefined,
): Display | null {
  return verifyAddressed("caas-display+jws", displaySchema, token, vin, keyOf);
}

export function verifyDisplayAck(token: string, vin: Vin, key: VerifyingKey): DisplayAck | null {
  return verifyAddressed("caas-display-ack+jws", displayAckSchema, token, vin, (kid) =>
    kid === key.kid ? key : undefined,
  );
}
