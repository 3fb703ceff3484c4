import { once } from "node:events";
import { createServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { makeCarKeys, tlsPublicKeyOf } from "../identity/keys.ts";
import { makeAuthority } from "../testing/test-authority.ts";
import { testVin } from "../testing/test-signer.ts";
import { openTrustedSocket } from "./server-trust.ts";

// The test's machine is the car with the wrong clock: certificates of 1970 or of 2100 are to it what today's are to a
// car that believes in 2100 or in 1970. The handshake is real.

type Authority = Awaited<ReturnType<typeof makeAuthority>>;
const year = (of: number): Date => new Date(Date.UTC(of, 0, 1));
const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

async function serve(authority: Authority, server: Parameters<Authority["certifyServer"]>[0]) {
  const listening = createServer({ ...(await authority.certifyServer(server)) }, (socket) => {
    socket.on("error", () => undefined);
  });
  listening.on("tlsClientError", () => undefined).listen(0, "127.0.0.1");
  await once(listening, "listening");
  toClose.push(() => listening.close());
  const address = listening.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `mqtts://127.0.0.1:${address.port}`;
}

async function connect(
  authority: Authority,
  pinned: Authority,
  server: Parameters<Authority["certifyServer"]>[0],
  signedTime: Date | undefined,
): Promise<"believed"> {
  const { tlsKeyPem } = makeCarKeys();
  const certificate = await authority.certifyCar(testVin, tlsPublicKeyOf(tlsKeyPem));
  const socket = await openTrustedSocket(
    await serve(authority, server),
    { certificate, key: tlsKeyPem, ca: pinned.certificate },
    { signedTime, signal: new AbortController().signal, timeoutMs: 10_000 },
  );
  socket.destroy();
  return "believed";
}

const past = { notBefore: year(2001), notAfter: year(2003) };
const future = { notBefore: year(2090), notAfter: year(2098) };
const lifelong = { notBefore: year(1990), notAfter: year(2150) };

describe("the broker's certificate is judged by what the platform has signed, not by the car's clock", () => {
  test.each([
    ["years ahead", past, year(2002)],
    ["at 1970", future, year(2091)],
    ["at 1970, and the last signed word is older than the certificate", future, year(2080)],
    ["right", { notBefore: year(2026), notAfter: year(2099) }, year(2027)],
  ])("a car whose clock is %s connects [F5]", async (_, validity, signedTime) => {
    const authority = await makeAuthority(lifelong);
    expect(await connect(authority, authority, { validity }, signedTime)).toBe("believed");
  });

  test.each([
    [
      "is over by the signed time and not by the clock",
      { notBefore: year(2026), notAfter: year(2060) },
      year(2061),
    ],
    ["is over by the signed time and by the clock", past, year(2004)],
  ])("a certificate that %s stays refused [F5]", async (_, validity, signedTime) => {
    const authority = await makeAuthority(lifelong);
    await expect(connect(authority, authority, { validity }, signedTime)).rejects.toThrow("ended at");
  });

  test.each([
    ["right", { notBefore: year(2026), notAfter: year(2099) }],
    ["years ahead", past],
    ["at 1970", future],
  ])("another root stays refused where the clock is %s [F5]", async (_, validity) => {
    const [authority, other] = [await makeAuthority(lifelong), await makeAuthority(lifelong)];
    await expect(connect(authority, other, { validity }, year(2002))).rejects.toThrow("certificate");
  });

  test.each([
    ["right", { notBefore: year(2026), notAfter: year(2099) }],
    ["years ahead", past],
    ["at 1970", future],
  ])("another host stays refused where the clock is %s [F5]", async (_, validity) => {
    const authority = await makeAuthority(lifelong);
    const server = { validity, address: "127.0.0.2" };
    await expect(connect(authority, authority, server, year(2002))).rejects.toThrow(/host|ALTNAME/);
  });

  test("a car's certificate does not make a broker, whatever the clock [F5]", async () => {
    const authority = await makeAuthority(lifelong);
    for (const validity of [past, future, { notBefore: year(2026), notAfter: year(2099) }])
      await expect(connect(authority, authority, { validity, usage: "client" }, year(2002))).rejects.toThrow(
        "certificate",
      );
  });

  test("a root that is over by the signed time vouches for no broker [F5]", async () => {
    const authority = await makeAuthority({ notBefore: year(1990), notAfter: year(2050) });
    const validity = { notBefore: year(2026), notAfter: year(2099) };
    await expect(connect(authority, authority, { validity }, year(2051))).rejects.toThrow("ended at");
  });

  test("without a signed time the dates count by the clock [F5]", async () => {
    const authority = await makeAuthority(lifelong);
    await expect(connect(authority, authority, { validity: past }, undefined)).rejects.toThrow("EXPIRED");
    await expect(connect(authority, authority, { validity: future }, undefined)).rejects.toThrow("NOT_YET");
  });
});
