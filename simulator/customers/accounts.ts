import { type Client, createClient } from "@caas/contract/client/client.ts";
import { signIn } from "@caas/contract/client/generated.ts";
import { createLatencies, type Latencies } from "../measure/latencies.ts";
import type { Owner } from "../run/world.ts";

/** Owners who are signed in. They sign in once, however often they come back to buy. */
export type Accounts = {
  /** The owner's client; signs in on the first call. @throws RestRefused, or when there is no answer */
  clientOf(owner: Owner): Promise<Client>;
  /** Of every call over REST that the accounts' owners make, signing in included. */
  readonly restLatencies: Latencies;
};

/** @param makeKnown lets the workshops know a car before its owner buys for the first time */
export function openAccounts(restUrl: string, makeKnown: ((vin: string) => Promise<void>) | null): Accounts {
  const restLatencies = createLatencies();
  const anybody = createClient({ baseUrl: restUrl });
  const clients = new Map<string, Promise<Client>>();

  async function open({ vin, username, password }: Owner): Promise<Client> {
    await makeKnown?.(vin);
    const startedMs = performance.now();
    const { token } = await signIn({ username, password }, anybody);
    restLatencies.record(performance.now() - startedMs);
    return { ...anybody, token };
  }

  return {
    restLatencies,
    clientOf(owner) {
      const known = clients.get(owner.vin);
      if (known !== undefined) return known;
      const opened = open(owner);
      clients.set(owner.vin, opened);
      // One failure is no reason to keep a customer out forever.
      opened.catch(() => clients.delete(owner.vin));
      return opened;
    },
  };
}
