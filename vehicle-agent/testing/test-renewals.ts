import { createPublicKey } from "node:crypto";
import { createServer } from "node:http";
import { dayMs } from "@caas/contract/durations.ts";
import { isRenewalProved, type RenewalResponse, renewalRequestSchema } from "@caas/contract/renewal.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { makeAuthority } from "./test-authority.ts";

export type TestRenewals = {
  url: string;
  /** Requests so far, refused ones too. */
  readonly requests: number;
  /** The next answers are these status codes instead. */
  failNext(...statuses: number[]): void;
  /** Life of the next certificates. */
  lifeMs: number;
  /** Changes the next answers on their way. */
  tamper: ((response: RenewalResponse) => RenewalResponse) | null;
  close(): Promise<void>;
};

/** The renewal side of a control plane for one enrolled car. */
export async function startTestRenewals(options: {
  vin: Vin;
  /** Raw Ed25519 (base64url) as enrolled. */
  proofPublicKey: string;
  authority: Awaited<ReturnType<typeof makeAuthority>>;
  now: () => Date;
  lifeMs: number;
  keySet: () => string;
}): Promise<TestRenewals> {
  const { vin, authority } = options;
  const failures: number[] = [];
  let requests = 0;
  const result: Omit<TestRenewals, "url" | "close"> = {
    get requests() {
      return requests;
    },
    failNext: (...statuses) => void failures.push(...statuses),
    lifeMs: options.lifeMs,
    tamper: null,
  };

  async function answer(text: string): Promise<{ status: number; body: object }> {
    requests += 1;
    const failure = failures.shift();
    if (failure !== undefined) return { status: failure, body: { detail: "as the test wished" } };
    const request = renewalRequestSchema.parse(JSON.parse(text));
    const notBefore = options.now();
    if (Math.abs(Date.parse(request.requestedAt) - notBefore.getTime()) > dayMs)
      return { status: 400, body: { detail: "the request is of another day" } };
    const isProved = isRenewalProved(request, createPublicKey(request.tlsPublicKey), options.proofPublicKey);
    if (request.vin !== vin || !isProved) return { status: 403, body: { detail: "the proof is wrong" } };
    const notAfter = new Date(notBefore.getTime() + result.lifeMs);
    const response = {
      certificate: await authority.certifyCar(vin, request.tlsPublicKey, { notBefore, notAfter }),
      brokerCa: authority.certificate,
      keySet: options.keySet(),
    };
    return { status: 201, body: result.tamper?.(response) ?? response };
  }

  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      const path = request.url === "/api/certificate-renewals" ? answer(text) : Promise.reject();
      path.then(
        ({ status, body }) =>
          response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)),
        () => response.writeHead(404).end("{}"),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return Object.assign(result, {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
