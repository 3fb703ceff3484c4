import { setTimeout as delay } from "node:timers/promises";
import type { FastifyBaseLogger } from "fastify";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";
import type { Faults } from "../shared/faults.ts";
import { portOf } from "../shared/partner.ts";
import type { Mailbox } from "./messages.ts";

const maxMailBytes = 10 * 1024 * 1024;

/** RFC 5321 §4.5.3.1.3: a path has 256 characters, its two angle brackets included. */
const longestAddress = 254;

/** An SMTP refusal: 4xx asks to come back, 5xx is final (RFC 5321 §4.2.1). */
class SmtpRefusal extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

export type RunningSmtp = { port: number; close(): Promise<void> };

/** Takes every mail for everyone, as no real server should. */
export async function startSmtp(options: {
  port: number;
  host: string;
  mailbox: Mailbox;
  faults: Faults;
  onKept: () => void;
  logger?: FastifyBaseLogger;
}): Promise<RunningSmtp> {
  const { mailbox, faults } = options;
  const closing = new AbortController();

  /** Whether the sender gets an answer. */
  const take = async (stream: SMTPServerDataStream, session: SMTPServerSession): Promise<boolean> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    const latencyMs = faults.latencyMs();
    if (latencyMs > 0) await delay(latencyMs, undefined, { signal: closing.signal });
    const fault = faults.take();
    if (fault.kind === "fail") throw new SmtpRefusal(fault.status, "refused by the fault knob failNext");
    if (fault.kind === "timeOutBeforeDoing") return false;
    if (stream.sizeExceeded) throw new SmtpRefusal(552, `a mail holds at most ${maxMailBytes} bytes`);
    const { mailFrom, rcptTo } = session.envelope;
    const recipients = rcptTo.map(({ address }) => address);
    await mailbox.keep(Buffer.concat(chunks), mailFrom === false ? "" : mailFrom.address, recipients);
    options.onKept();
    return fault.kind !== "timeOutAfterDoing";
  };

  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    // Loopback only, and the built-in certificate would make every careful client refuse to talk.
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    logger: false,
    size: maxMailBytes,
    // How long a stop waits for clients that hold their connection open.
    closeTimeout: 100,
    onAuth: (_auth, _session, done) => done(null, { user: "anyone" }),
    onRcptTo({ address }, _session, done) {
      done(
        address.length > longestAddress
          ? new SmtpRefusal(501, `an address has at most ${longestAddress} characters`)
          : undefined,
      );
    },
    onData(stream, session, done) {
      take(stream, session).then(
        (isAnswered) => {
          if (isAnswered) done();
        },
        (error: unknown) => {
          if (error instanceof SmtpRefusal) return done(error);
          if (!closing.signal.aborted) options.logger?.error(error, "a mail could not be kept");
          done(new SmtpRefusal(451, "try again later"));
        },
      );
    },
  });
  server.on("error", (error: unknown) => options.logger?.warn(error, "an SMTP client went away"));
  await new Promise<void>((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.server.off("error", reject);
      resolve();
    });
  });
  return {
    port: portOf(server.server),
    close: () => {
      closing.abort();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
