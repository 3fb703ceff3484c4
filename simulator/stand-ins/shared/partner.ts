import type { AddressInfo, Server } from "node:net";
import { type Clock, realClock } from "@caas/contract/business-clock.ts";
import { isLoopbackHost } from "@caas/contract/loopback-host.ts";
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from "fastify";
import { registerControl } from "./control.ts";
import { createFaults } from "./faults.ts";
import { type ListedRoute, renderFrontPage } from "./front-page.ts";
import {
  type Answer,
  createApp,
  type ErrorShape,
  type PartnerApp,
  plainError,
  registerApi,
  send,
} from "./http.ts";
import { createIdempotency, type IdempotencyOptions, partnerIdempotency } from "./idempotency.ts";
import { createKnobs } from "./knobs.ts";
import { pageHeaders } from "./page.ts";
import { openStore } from "./store.ts";
import type { Outbox, WebhookOptions } from "./webhooks.ts";

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

const defaultHost = "127.0.0.1";

/** What differs between partners before their first route. */
export type PartnerStyle = {
  errorShape?: ErrorShape;
  idempotency?: Omit<IdempotencyOptions, "now">;
  querystringParser?: (text: string) => Record<string, unknown>;
};

/** A stand-in with its store and its knobs, and without routes yet. */
export type OpenPartner = ReturnType<typeof openPartner>;

export function openPartner(
  name: string,
  options: Omit<PartnerOptions, "apiKey"> & { apiKey?: string },
  { errorShape = plainError, idempotency = partnerIdempotency, ...style }: PartnerStyle = {},
) {
  const { logger, apiKey } = options;
  const clock = options.clock ?? realClock;
  const host = options.host ?? defaultHost;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const knobs = createKnobs();
  const app = createApp({ logger, store, errorShape, isLocal: isLoopbackHost(host), ...style });
  const routes: ListedRoute[] = [];
  app.addHook("onRoute", ({ method, url, schema }) => {
    const needsSearch = schema !== undefined && "querystring" in schema;
    for (const one of [method].flat()) if (one !== "HEAD") routes.push({ method: one, url, needsSearch });
  });
  const answerOnce = createIdempotency(store, { ...idempotency, now: () => clock.now() });
  return {
    app,
    clock,
    faults,
    host,
    knobs,
    logger,
    store,
    /** Its own API, behind its key and its knobs. */
    serve(routes: (api: PartnerApp) => void): void {
      if (apiKey !== undefined) registerApi(app, { apiKey, faults, errorShape }, routes);
    },
    /** Does the work of a request once for each Idempotency-Key, and sends the answer. */
    answerOnce(request: FastifyRequest, reply: FastifyReply, work: () => Answer): FastifyReply {
      const key = request.headers["idempotency-key"]?.toString();
      const call = { key, method: request.method, path: request.url, body: request.body };
      return send(reply, answerOnce(call, work));
    },
    /**
     * Opens the control entrance and listens. `closed`: what to end after the app and before the store.
     * @throws when the port is taken, after releasing everything
     */
    async run({
      outbox,
      closed,
    }: {
      outbox?: Outbox;
      closed?: () => Promise<void>;
    } = {}): Promise<RunningPartner> {
      registerControl(app, { name, store, faults, knobs, ...(outbox === undefined ? {} : { outbox }) });
      const address = () => `http://${host}:${portOf(app.server)}`;
      // The inbox has a page of its own there.
      if (!app.hasRoute({ method: "GET", url: "/" }))
        app.get("/", (_request, reply) => {
          reply.headers(pageHeaders);
          return renderFrontPage(name, address(), routes, knobs.list());
        });
      const close = closeOnce(async () => {
        await app.close();
        await outbox?.close();
        await closed?.();
        store.close();
      });
      try {
        await app.listen({ port: options.port, host });
      } catch (error) {
        await close();
        throw error;
      }
      return { name, url: address(), close };
    },
  };
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
