import { X509Certificate } from "node:crypto";
import { createServer, type TLSSocket } from "node:tls";
import type { makeAuthority } from "./test-authority.ts";
import { startTestBroker, type TestBroker } from "./test-broker.ts";

export type TlsBroker = TestBroker & {
  /** PEM of every client certificate it took, in order. */
  readonly taken: readonly string[];
  /** Handshakes it refused because of the certificate. */
  readonly refused: number;
  /** Decides by the certificate (PEM) alone, besides authority and validity. */
  isTaken: (certificate: string) => boolean;
};

/**
 * A broker on loopback that identifies cars by certificates of `authority`, valid at `now`: business time, so
 * OpenSSL's verdict on dates does not count.
 */
export async function startTlsBroker(
  authority: Awaited<ReturnType<typeof makeAuthority>>,
  now: () => Date,
): Promise<TlsBroker> {
  const plain = await startTestBroker();
  const taken: string[] = [];
  const sockets = new Set<TLSSocket>();
  const ca = new X509Certificate(authority.certificate);
  let refused = 0;
  const server = createServer(
    {
      ...(await authority.certifyServer()),
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      const certificate = socket.getPeerX509Certificate();
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      const isGood =
        certificate?.verify(ca.publicKey) === true &&
        certificate.validFromDate <= now() &&
        now() < certificate.validToDate &&
        broker.isTaken(certificate.toString());
      if (!isGood) {
        refused += 1;
        socket.destroy();
        return;
      }
      taken.push(certificate.toString());
      plain.handle(socket);
    },
  );
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const broker: TlsBroker = {
    ...plain,
    url: `mqtts://127.0.0.1:${address.port}`,
    taken,
    get refused() {
      return refused;
    },
    isTaken: () => true,
    cut,
    async close() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await plain.close();
    },
  };
  return broker;
}
