import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { openCertificateAuthority, type ServiceCertificates } from "./certificate-authority.ts";
import { openKeyRing } from "./key-ring.ts";

/** `rootPublicKeyFile` is what the broker verifies revocation lists with. */
export type PreparedFolder = ServiceCertificates & { rootPublicKeyFile: string };

/**
 * Makes everything a fresh installation needs in its keys folder: root, signing key and key set, the fleet's
 * certificate authority, and TLS keys and certificates for the broker and for our own link to it. What is
 * there already is kept; the two service certificates are issued anew.
 */
export async function prepareKeyFolder(folder: string, clock: Clock): Promise<PreparedFolder> {
  await openKeyRing(folder, clock);
  const certificateAuthority = await openCertificateAuthority(folder, clock);
  return {
    ...(await certificateAuthority.issueForServices(folder)),
    rootPublicKeyFile: join(folder, "root.pub"),
  };
}

/** Where `prepareKeyFolder` put our own end's files. */
export function controlPlaneTlsFiles(folder: string) {
  return {
    caFile: join(folder, "car-ca.pem"),
    keyFile: join(folder, "control-plane.key"),
    certificateFile: join(folder, "control-plane.pem"),
  };
}
