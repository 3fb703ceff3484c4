import type { AddressInfo, Server } from "node:net";
import type { Clock } from "@caas/contract/business-clock.ts";
import type { FastifyBaseLogger } from "fastify";
import type { PartnerApp } from "./http.ts";
import type { WebhookOptions } from "./webhooks.ts";

/** A stand-in that is up. */
export type RunningPartner = {
  name: string;
  /** As `http://127.0.0.1:4001`, without a slash at the end. */
  url: string;
  /** Stops listening and sending; the store stays on its disk. */
  close(): Promise<void>;
};

export type PartnerOptions = {
  /** 0: any free one. */
  port: number;
  /** Default `127.0.0.1`: a stand-in is not meant to be reached from elsewhere. */
  host?: string;
  /** A file, or `:memory:`. */
  storePath: string;
  /** What the platform sends as `Authorization: Bearer …`. */
  apiKey: string;
  logger?: FastifyBaseLogger;
  /** Business time: rules dates, holds and due days, never time-outs or signatures. */
  clock?: Clock;
};

export type WebhookPartnerOptions = PartnerOptions & { webhook?: WebhookOptions };

export const defaultHost = "127.0.0.1";

/**
 * Lets `app` listen and hands out the running partner; `close` releases the rest, after the app.
 * @throws when the port is taken, after releasing everything.
 */
export async function runPartner(parts: {
  name: string;
  app: PartnerApp;
  options: { port: number; host?: string };
  close: () => Promise<void>;
}): Promise<RunningPartner> {
  const { name, app, options } = parts;
  const host = options.host ?? defaultHost;
  const close = closeOnce(async () => {
    await app.close();
    await parts.close();
  });
  try {
    await app.listen({ port: options.port, host });
  } catch (error) {
    await close();
    throw error;
  }
  return { name, url: `http://${host}:${portOf(app.server)}`, close };
}

export function portOf(server: Pick<Server, "address">): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("the server is not on a TCP port");
  return address.port;
}

/** Closes only once: a second call waits for the first. */
function closeOnce(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined;
  return () => {
    closing ??= close();
    return closing;
  };
}
