import type { PartnersOptions } from "../all.ts";

/** Keys and secrets as a test wants them: any free ports, nothing kept. */
export function testPartnersOptions(webhookBaseUrl: string | null): PartnersOptions {
  return {
    dataDir: ":memory:",
    webhookBaseUrl,
    factory: { port: 0, apiKey: "factory-key", webhookSecret: "whsec_ZmFjdG9yeS1zZWNyZXQ=" },
    gateway: { port: 0, apiKey: "sk_test_gateway", webhookSecret: "whsec_gateway" },
    vss: { port: 0, apiKey: "vss-key-1" },
    authority: { port: 0, apiKey: "authority-key" },
    transport: { port: 0, apiKey: "transport-key", webhookSecret: "whsec_dHJhbnNwb3J0LXNlY3JldA==" },
    inbox: { smtpPort: 0, httpPort: 0 },
  };
}
