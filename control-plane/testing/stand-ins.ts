import type { Clock } from "@caas/contract/business-clock.ts";
import { startAuthority } from "@caas/simulator/stand-ins/authority/server.ts";
import { type FactoryOptions, startFactory } from "@caas/simulator/stand-ins/factory/server.ts";
import { startGateway } from "@caas/simulator/stand-ins/gateway/server.ts";
import { startInbox } from "@caas/simulator/stand-ins/inbox/server.ts";
import { startTransport } from "@caas/simulator/stand-ins/transport/server.ts";
import { startVss } from "@caas/simulator/stand-ins/vss/server.ts";
import { createFactory } from "../partners/factory.ts";
import { createMail } from "../partners/mail.ts";
import { createPaymentGateway } from "../partners/payment-gateway.ts";
import { createRegistrationAuthority } from "../partners/registration-authority.ts";
import { createCarrier } from "../partners/transport.ts";
import { createVss } from "../partners/vss.ts";
import { readDecline } from "../rules/decline-table.ts";
import type { Partners } from "../wiring.ts";
import { factorySecret, gatewaySecret, partnerApiKey, transportSecret } from "./test-platform.ts";

/** A stand-in's control entrance. */
export type Control = (
  method: "GET" | "PUT" | "POST" | "DELETE",
  path: string,
  body?: object,
) => Promise<unknown>;

/** A partner's stand-in that is up, and the platform's own client of it. */
export type StandIn = { url: string; control: Control; partner: Partial<Partners>; close(): Promise<void> };

export type StandInName = "gateway" | "factory" | "authority" | "carrier" | "vss" | "inbox";

export type StandIns = {
  partners: Partial<Partners>;
  of(name: StandInName): StandIn;
  /** From here on they live on the platform's clock and send their webhooks there; without `url` they send none. */
  meet(platform: { clock: Clock; url?: string }): Promise<void>;
  close(): Promise<void>;
};

/** Long enough for a busy machine to answer, short enough to wait for when a stand-in never does. */
const timeoutMs = 1_500;
const retryBaseMs = 20;

export async function startStandIns(
  names: readonly StandInName[],
  options: { factoryPace?: FactoryOptions["pace"] } = {},
): Promise<StandIns> {
  // They live on the platform's business time, which is not there yet.
  let clock: Clock = { now: () => new Date() };
  const common = { port: 0, storePath: ":memory:", apiKey: partnerApiKey, clock: { now: () => clock.now() } };
  const client = (url: string) => ({ baseUrl: url, apiKey: partnerApiKey, timeoutMs });

  const start: Record<StandInName, () => Promise<Omit<StandIn, "control">>> = {
    async gateway() {
      const server = await startGateway({ ...common, webhook: webhook(gatewaySecret) });
      return {
        ...server,
        partner: { gateway: createPaymentGateway({ ...client(server.url), readDecline }) },
      };
    },
    async factory() {
      const pace = options.factoryPace ?? { mode: "manual" };
      const server = await startFactory({ ...common, pace, webhook: webhook(factorySecret) });
      return { ...server, partner: { factory: createFactory(client(server.url)) } };
    },
    async authority() {
      const server = await startAuthority(common);
      return {
        ...server,
        partner: { registrationAuthority: createRegistrationAuthority(client(server.url)) },
      };
    },
    async carrier() {
      const server = await startTransport({
        ...common,
        pace: { mode: "manual" },
        webhook: webhook(transportSecret),
      });
      return { ...server, partner: { carrier: createCarrier(client(server.url)) } };
    },
    async vss() {
      const server = await startVss(common);
      return { ...server, partner: { vss: createVss({ ...client(server.url), checkBudgetMs: 1_000 }) } };
    },
    async inbox() {
      const server = await startInbox({ port: 0, smtpPort: 0, storePath: ":memory:" });
      const mail = createMail({ url: server.smtpUrl, from: "CaaS <no-reply@caas.example>" });
      const close = async () => {
        mail.close();
        await server.close();
      };
      return { ...server, partner: { mail }, close };
    },
  };
  const running = new Map<StandInName, StandIn>();
  for (const name of names) {
    const standIn = await start[name]();
    running.set(name, { ...standIn, control: controlOf(standIn.url) });
  }

  return {
    partners: Object.assign({}, ...[...running.values()].map(({ partner }) => partner)),
    of(name) {
      const standIn = running.get(name);
      if (standIn === undefined) throw new Error(`the stand-in ${name} was not started`);
      return standIn;
    },
    async meet(platform) {
      clock = platform.clock;
      if (platform.url === undefined) return;
      for (const name of ["gateway", "factory", "carrier"] as const)
        await running.get(name)?.control("PUT", "/_control/webhooks", { baseUrl: platform.url });
    },
    async close() {
      await Promise.all([...running.values()].map(({ close }) => close()));
    },
  };
}

function webhook(secret: string) {
  return { baseUrl: null, secret, retryBaseMs };
}

function controlOf(url: string): Control {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    const answer: unknown = text === "" ? null : JSON.parse(text);
    return answer;
  };
}
