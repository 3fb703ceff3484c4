import { createServer } from "node:http";
import { expect, test } from "vitest";
import { startPartners } from "./all.ts";
import { partnerClient } from "./client.ts";
import { portOf } from "./shared/partner.ts";
import { testPartnersOptions } from "./testing/partners.ts";
import { startWebhookReceiver } from "./testing/webhook-receiver.ts";

test("factory, gateway, workshops, authority, carrier and inbox each answer at their own address", async () => {
  const partners = await startPartners(testPartnersOptions(null));
  const { smtp, ...http } = partners.addresses;
  expect(smtp).toMatch(/^smtp:\/\/127\.0\.0\.1:\d+$/);
  expect(new Set(Object.values(http)).size).toBe(6);
  for (const [name, url] of Object.entries(http))
    expect((await partnerClient(url)("GET", "/health")).body).toEqual({ status: "ok", partner: name });
  await partners.close();
  for (const url of Object.values(http)) await expect(fetch(`${url}/health`)).rejects.toThrow();
});

test("webhooks wait until the platform's address is known, and then go there", async () => {
  const receiver = await startWebhookReceiver();
  const partners = await startPartners(testPartnersOptions(null));
  const factory = partnerClient(partners.addresses.factory, "factory-key");
  await factory("POST", "/v1/orders", {
    body: { reference: "exp-1", configuration: { base: "compact", options: [] } },
  });
  await partners.setWebhookBaseUrl(`${receiver.url}/`);
  await receiver.waitFor((webhook) => webhook.body.includes("qualityCheck"));
  expect(receiver.received.every(({ path }) => path === "/webhooks/factory")).toBe(true);
  await expect(partners.setWebhookBaseUrl("ftp://127.0.0.1")).rejects.toThrow("factory");
  await partners.close();
  await receiver.close();
});

test("when one cannot start, none is left running", async () => {
  const occupied = createServer();
  await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
  const factoryPort = portOf(free);
  await new Promise((resolve) => free.close(resolve));
  const options = testPartnersOptions(null);
  options.factory.port = factoryPort;
  options.inbox.httpPort = portOf(occupied);
  await expect(startPartners(options)).rejects.toThrow(/EADDRINUSE/);
  await expect(fetch(`http://127.0.0.1:${factoryPort}/health`)).rejects.toThrow();
  await new Promise((resolve) => occupied.close(resolve));
});
