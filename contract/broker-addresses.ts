import * as z from "zod";

// The addresses of a broker: one, or those of its processes, separated by commas. A client tries the next when one
// fails, so that no load balancer is needed.

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
  /** The connection failed: the next address is tried next time. */
  failed(): void;
};

/** @param name a VIN or another name, which decides the first address, so that a fleet spreads over all of them */
export function createBrokerRound(text: string, name: string): BrokerRound {
  const addresses = listBrokerAddresses(text);
  let index = addresses.length === 1 ? 0 : placeOf(name);
  return {
    current: () => addresses[index % addresses.length] ?? text,
    failed() {
      index += 1;
    },
  };
}

/** FNV-1a, 32 bits: it also spreads names that differ only in their last digits. */
function placeOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
  return hash;
}
