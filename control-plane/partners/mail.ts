import { makeTextStorable } from "@caas/contract/outside-text.ts";
import { createTransport } from "nodemailer";

export type MailMessage = {
  to: string;
  subject: string;
  text: string;
  html: string;
  /** Ours, without angle brackets or domain; the same for every try, so a mailbox shows a repeated one once. */
  id: string;
};

export type MailOutcome =
  /** The server has taken it (SMTP 250). `providerId` is the Message-ID. */
  | { kind: "accepted"; providerId: string }
  /** The server will never take it (SMTP 5xx for this address or message). */
  | { kind: "refused"; reason: string }
  /** Slow, down or busy: it may take it later. */
  | { kind: "unavailable"; reason: string };

export type Mail = {
  send(message: MailMessage): Promise<MailOutcome>;
  close(): void;
};

const timeoutMs = 10_000;
/** For one message, from its turn in the queue to the server's last word: a server may answer a byte at a time. */
const totalTimeoutMs = 90_000;
/** A server's answers are some lines. */
const maxResponseBytes = 64 * 1024;

/**
 * @param options.url `smtp://host:port` or `smtps://user:password@host`
 * @param options.totalTimeoutMs for one message, real time
 * @param options.from as `CaaS <no-reply@caas.example>`; its domain also names our messages
 */
export function createMail(options: { url: string; from: string; totalTimeoutMs?: number }): Mail {
  const totalMs = options.totalTimeoutMs ?? totalTimeoutMs;
  const transport = createTransport(
    {
      url: options.url,
      pool: true,
      maxConnections: 4,
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      maxResponseSize: maxResponseBytes,
      // Nothing that a template or a customer's name contains may make us read a file or fetch an address.
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from: options.from },
  );
  const domain = /@([A-Za-z0-9.-]+)/.exec(options.from)?.[1] ?? "localhost";
  return {
    async send(message) {
      const messageId = `<${message.id}@${domain}>`;
      try {
        await transport.sendMail({
          to: { name: "", address: message.to },
          subject: message.subject,
          text: message.text,
          html: message.html,
          messageId,
          headers: { "Auto-Submitted": "auto-generated" },
          signal: AbortSignal.timeout(totalMs),
        });
        return { kind: "accepted", providerId: messageId };
      } catch (error) {
        const reason = makeTextStorable(error instanceof Error ? error.message : String(error));
        return { kind: isRefusal(error) ? "refused" : "unavailable", reason };
      }
    },
    close: () => transport.close(),
  };
}

/**
 * A 5xx about the address or the message is final (RFC 5321 §4.2.1), and so is an address that the client itself cannot
 * write into a command. One about our own log-in is ours to mend.
 */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  if (error.code !== "EENVELOPE" && error.code !== "EMESSAGE") return false;
  const responseCode = "responseCode" in error ? error.responseCode : undefined;
  if (responseCode === undefined) return error.code === "EENVELOPE";
  return typeof responseCode === "number" && responseCode >= 500;
}
