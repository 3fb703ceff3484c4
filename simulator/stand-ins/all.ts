import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import type { FastifyBaseLogger } from "fastify";
import type { StandInAddresses } from "./addresses.ts";
import { startAuthority } from "./authority/server.ts";
import { openStandIn } from "./client.ts";
import { startFactory } from "./factory/server.ts";
import { startGateway } from "./gateway/server.ts";
import { startInbox } from "./inbox/server.ts";
import type { RunningPartner } from "./shared/partner.ts";
import { startTransport } from "./transport/server.ts";
import { startVss } from "./vss/server.ts";

export type PartnerSettings = { port: number; apiKey: string };
export type WebhookPartnerSettings = PartnerSettings & { webhookSecret: string };

export type PartnersOptions = {
  /** Holds one SQLite file per partner; `:memory:` keeps nothing. */
  dataDir: string;
  host?: string;
  /** Where the platform listens; `null`: webhooks wait until `setWebhookBaseUrl`. */
  webhookBaseUrl: string | null;
  factory: WebhookPartnerSettings & { milestoneDelayMs?: number };
  gateway: WebhookPartnerSettings;
  vss: PartnerSettings;
  authority: PartnerSettings;
  transport: WebhookPartnerSettings & { stepDelayMs?: number };
  inbox: { smtpPort: number; httpPort: number };
  logger?: FastifyBaseLogger;
  clock?: Clock;
};

export type RunningPartners = {
  addresses: StandInAddresses;
  /** Tells factory, gateway and carrier where to send their webhooks from now on. */
  setWebhookBaseUrl(baseUrl: string): Promise<void>;
  /** Closes all of them, in reverse order. */
  close(): Promise<void>;
};

/** Starts every stand-in. @throws when one cannot start, after closing those that had. */
export async function startPartners(options: PartnersOptions): Promise<RunningPartners> {
  const running = new AsyncDisposableStack();
  const keep = <P extends RunningPartner>(partner: P): P => running.adopt(partner, (one) => one.close());
  const close = () => running.disposeAsync();
  const common = (name: string) => ({
    storePath: options.dataDir === ":memory:" ? ":memory:" : join(options.dataDir, `${name}.db`),
    ...(options.host !== undefined && { host: options.host }),
    ...(options.clock !== undefined && { clock: options.clock }),
    ...(options.logger !== undefined && { logger: options.logger.child({ partner: name }) }),
  });
  const speaking = (name: string, settings: WebhookPartnerSettings) => ({
    ...common(name),
    port: settings.port,
    apiKey: settings.apiKey,
    webhook: { baseUrl: options.webhookBaseUrl, secret: settings.webhookSecret },
  });
  const { milestoneDelayMs = 0 } = options.factory;
  const { stepDelayMs = 0 } = options.transport;
  try {
    const factory = keep(
      await startFactory({
        ...speaking("factory", options.factory),
        pace: { mode: "auto", milestoneDelayMs },
      }),
    );
    const gateway = keep(await startGateway(speaking("gateway", options.gateway)));
    const vss = keep(await startVss({ ...common("vss"), ...options.vss }));
    const authority = keep(await startAuthority({ ...common("authority"), ...options.authority }));
    const transport = keep(
      await startTransport({
        ...speaking("transport", options.transport),
        pace: { mode: "auto", stepDelayMs, outcome: "customerPresent" },
      }),
    );
    const { smtpPort, httpPort } = options.inbox;
    const inbox = keep(await startInbox({ ...common("inbox"), port: httpPort, smtpPort }));
    const addresses = {
      factory: factory.url,
      gateway: gateway.url,
      vss: vss.url,
      authority: authority.url,
      transport: transport.url,
      inbox: inbox.url,
      smtp: inbox.smtpUrl,
    };
    return {
      addresses,
      close,
      async setWebhookBaseUrl(baseUrl) {
        for (const partner of [factory, gateway, transport])
          await openStandIn(partner.url).put("/_control/webhooks", { baseUrl });
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
