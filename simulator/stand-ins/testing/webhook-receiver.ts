import { createServer, type IncomingHttpHeaders } from "node:http";
import { createBell } from "../shared/bell.ts";
import { portOf } from "../shared/partner.ts";

/** What arrived at the receiver, exactly as sent: signatures are over these bytes. */
export type ReceivedWebhook = { path: string; headers: IncomingHttpHeaders; body: string; status: number };

/** A real HTTP server that stands where the platform would listen. For tests. */
export async function startWebhookReceiver() {
  const received: ReceivedWebhook[] = [];
  const bell = createBell();
  let chooseStatus: (webhook: Omit<ReceivedWebhook, "status">) => number = () => 204;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const webhook = {
        path: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8"),
      };
      const status = chooseStatus(webhook);
      received.push({ ...webhook, status });
      response.writeHead(status).end();
      bell.ring();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    received,
    /** Types of the acknowledged ones, in the order of arrival. */
    acknowledgedTypes: () => received.filter(({ status }) => status < 300).map(typeOf),
    /** Decides every later answer. */
    answerWith(choose: typeof chooseStatus) {
      chooseStatus = choose;
    },
    /** The first webhook, come or still to come, that fits. @throws after 10 s without one. */
    async waitFor(fits: (webhook: ReceivedWebhook) => boolean): Promise<ReceivedWebhook> {
      const found = await bell.waitFor(() => received.find(fits), 10_000, new AbortController().signal);
      if (found === undefined)
        throw new Error(`no such webhook among ${received.map(typeOf).join(", ") || "none"}`);
      return found;
    },
    async close() {
      bell.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type WebhookReceiver = Awaited<ReturnType<typeof startWebhookReceiver>>;

export function typeOf(webhook: Pick<ReceivedWebhook, "body">): string {
  const body: unknown = JSON.parse(webhook.body);
  return typeof body === "object" && body !== null && "type" in body ? String(body.type) : "";
}
