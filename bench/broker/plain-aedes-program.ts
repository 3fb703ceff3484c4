import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Aedes } from "aedes";
import * as z from "zod";

// aedes as its package comes, open to everyone: what our broker's limits and access rules are measured against.

const environment = z
  .object({ AEDES_KEY: z.string(), AEDES_CERTIFICATE: z.string(), AEDES_CLIENT_CA: z.string() })
  .parse(process.env);

const aedes = await Aedes.createBroker();
const take = (socket: Socket): void => void aedes.handle(socket);
const identity = {
  key: readFileSync(environment.AEDES_KEY),
  cert: readFileSync(environment.AEDES_CERTIFICATE),
};

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("a listener without a port"));
      else resolve(address.port);
    });
  });
}

// As our own listeners: an answer is not held back for more.
const noDelay = true;
const addresses = {
  tcpPort: await listen(createServer({ noDelay }, take)),
  serverTlsPort: await listen(createTlsServer({ ...identity, noDelay }, take)),
  tlsPort: await listen(
    createTlsServer(
      {
        ...identity,
        noDelay,
        ca: readFileSync(environment.AEDES_CLIENT_CA),
        requestCert: true,
        rejectUnauthorized: true,
      },
      take,
    ),
  ),
};
process.on("SIGTERM", () => process.exit(0));
process.stdout.write(`${JSON.stringify({ ready: true, addresses })}\n`);
