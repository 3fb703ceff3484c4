import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { isIP } from "node:net";
import { checkServerIdentity, connect, type TLSSocket } from "node:tls";

// A car's clock may be wrong by years, so the dates of the broker's certificate are judged by what the platform has
// signed, and only TLS's other objections by TLS ("Trust").

/** PEM texts. */
export type TlsCredential = { certificate: string; key: string; ca: string };

const dateErrors: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);
const serverAuthentication = "1.3.6.1.5.5.7.3.1"; // RFC 5280, 4.2.1.12

/** The result of the handshake: TLS's own verdict by the car's clock, and the code of its objection. */
export type PresentedServer = {
  certificate: X509Certificate | undefined;
  authorized: boolean;
  errorCode: string | undefined;
};

/**
 * Why a broker's certificate is not believed, `null` when it is. `signedTime` is a bound: the time may be much later, so
 * it can tell that a certificate has ended, and never that one has not begun. Without it TLS judges the dates, too.
 */
export function explainServerDistrust(
  { certificate, authorized, errorCode = "no reason given" }: PresentedServer,
  expected: { host: string; ca: string; signedTime: Date | undefined },
): string | null {
  if (certificate === undefined) return "the broker showed no certificate";
  const { signedTime } = expected;
  const isDateOnly = dateErrors.has(errorCode) && signedTime !== undefined;
  if (!authorized && !isDateOnly) return `the broker's certificate is not believed: ${errorCode}`;
  const foreign = checkServerIdentity(expected.host, certificate.toLegacyObject());
  if (foreign !== undefined) return `the broker's certificate is for another host: ${foreign.message}`;
  const issuer = readBundle(expected.ca).find(
    (authority) =>
      authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
  // TLS names only its last objection, and dates come last: they may hide any other. So nothing is left to it here.
  if (!authorized) {
    if (issuer === undefined) return "the broker's certificate is not of the pinned authority";
    // `keyUsage` is undefined, against its type, where the certificate has no extended key usage.
    const usages: readonly string[] | undefined = certificate.keyUsage;
    if (certificate.ca || (usages !== undefined && !usages.includes(serverAuthentication)))
      return "the broker's certificate is not a server's";
  }
  const ended = [certificate, issuer].find(
    (one) => one !== undefined && signedTime !== undefined && one.validToDate < signedTime,
  );
  return ended === undefined ? null : `the broker's certificate ended at ${ended.validToDate.toISOString()}`;
}

function readBundle(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** A TLS connection to a believed broker; nothing of the car but its certificate has been sent on it. */
export async function openTrustedSocket(
  url: string,
  { certificate, key, ca }: TlsCredential,
  wanted: { signedTime: Date | undefined; signal: AbortSignal; timeoutMs: number },
): Promise<TLSSocket> {
  const address = new URL(url);
  const host = address.hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = connect({
    host,
    port: address.port === "" ? 8883 : Number(address.port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    cert: certificate,
    key,
    ca,
    // Judged below, before the first byte of MQTT.
    rejectUnauthorized: false,
  });
  // An error after the end of the connection must not end the agent.
  socket.on("error", () => undefined);
  try {
    const ends = AbortSignal.any([wanted.signal, AbortSignal.timeout(wanted.timeoutMs)]);
    await once(socket, "secureConnect", { signal: ends });
    const objection: unknown = socket.authorizationError;
    const presented = {
      certificate: socket.getPeerX509Certificate(),
      authorized: socket.authorized,
      errorCode: typeof objection === "string" ? objection : undefined,
    };
    const problem = explainServerDistrust(presented, { host, ca, signedTime: wanted.signedTime });
    if (problem !== null) throw new Error(problem);
    return socket;
  } catch (error) {
    socket.destroy();
    if (wanted.signal.aborted) throw new Error("stopped", { cause: error });
    throw error;
  }
}
