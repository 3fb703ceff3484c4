import { expect, test } from "vitest";
import { makeAuthority } from "../testing/test-authority.ts";
import { createTestSigner, otherVin, testVin } from "../testing/test-signer.ts";
import { explainDistrust } from "./certificate-trust.ts";
import { makeTlsKey, tlsPublicKeyOf } from "./keys.ts";

const signer = createTestSigner();
const tlsKeyPem = makeTlsKey();
const own = { vin: testVin, rootPublicKey: signer.root.x, tlsKeyPem };

test("a certificate for the car's own key and another VIN is not stored [test-gaps: certificate-trust 17]", async () => {
  const authority = await makeAuthority();
  const answerFor = async (vin: typeof testVin) => ({
    certificate: await authority.certifyCar(vin, tlsPublicKeyOf(tlsKeyPem)),
    keySet: signer.keySet(1),
  });
  expect(explainDistrust(await answerFor(otherVin), own)).toBe("the certificate names another car");
  expect(explainDistrust(await answerFor(testVin), own)).toBeNull();
});
