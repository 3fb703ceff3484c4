import * as z from "zod";

// Where a broker is: one address, or those of its processes with commas between them. Whoever connects tries the next
// when one fails, so that it needs nobody in front who spreads connections.

const oneAddress = z.url({ protocol: /^mqtts?$/ });

/** `mqtt://` or `mqtts://`, all of one kind. */
export const brokerAddressesSchema = z
  .string()
  .refine(
    (text) => listBrokerAddresses(text).every((address) => oneAddress.safeParse(address).success),
    "must be an mqtt:// or mqtts:// address, or several with commas",
  )
  .refine(
    (text) => new Set(listBrokerAddresses(text).map((address) => address.split(":")[0])).size <= 1,
    "must be all mqtt:// or all mqtts://",
  );

export function listBrokerAddresses(text: string): string[] {
  return text.split(",").map((address) => address.trim());
}

export type BrokerRound = {
  /** The address to try now. */
  current(): string;
  /** It could not be had: the next one is tried next time. */
  failed(): void;
};

/** @param who a VIN or another name: each begins at an address of its own, so that a fleet spreads over all of them */
export function createBrokerRound(text: string, who: string): BrokerRound {
  const addresses = listBrokerAddresses(text);
  let index = addresses.length === 1 ? 0 : placeOf(who);
  return {
    current: () => addresses[index % addresses.length] ?? text,
    failed() {
      index += 1;
    },
  };
}

/** FNV-1a, 32 bits: names that differ in their last digits alone are spread, too. */
function placeOf(who: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < who.length; at += 1) hash = Math.imul(hash ^ who.charCodeAt(at), 0x01000193) >>> 0;
  return hash;
}
