import { exportPublicKey, signingKeyFromPem } from "@caas/contract/jws.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { makeCarKeys } from "@caas/vehicle-agent/identity/keys.ts";
import type { TestSigner } from "../../../vehicle-agent/testing/test-signer.ts";
import type { CarCredentials } from "../credentials.ts";

export type TestCredentials = {
  credentials: CarCredentials;
  /** Raw Ed25519 key (base64url): verifies what the car signs. */
  proofPublicKey: string;
};

/** A car with fresh keys that trusts `signer`. */
export function makeCredentials(
  vin: Vin,
  signer: TestSigner,
  broker: CarCredentials["broker"],
): TestCredentials {
  const keys = makeCarKeys();
  return {
    credentials: {
      ...keys,
      vin,
      rootPublicKey: signer.root.x,
      controlPlaneUrl: "http://127.0.0.1:1",
      certificate: "",
      brokerCa: "",
      broker,
      keySet: signer.keySet(1),
    },
    proofPublicKey: exportPublicKey(signingKeyFromPem(keys.proofKeyPem).privateKey),
  };
}
