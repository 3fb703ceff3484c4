import { join } from "node:path";
import type { Clock } from "@caas/contract/business-clock.ts";
import { openCertificateAuthority, type ServiceCertificates } from "./certificate-authority.ts";
import { openKeyRing } from "./key-ring.ts";

/** The broker verifies revocation lists with `rootPublicKeyFile`. */
export type PreparedFolder = ServiceCertificates & { rootPublicKeyFile: string };

/**
 * Makes everything a fresh installation needs in its keys folder: root, signing key and key set, the fleet's
 * certificate authority, and TLS keys and certificates for the broker and for our own link to it. Existing
 * files are kept; the two service certificates are issued again.
 */
export async function prepareKeyFolder(folder: string, clock: Clock): Promise<PreparedFolder> {
  await openKeyRing(folder, clock);
  const certificateAuthority = await openCertificateAuthority(folder, clock);
  return {
    ...(await certificateAuthority.issueForServices(folder)),
    rootPublicKeyFile: join(folder, "root.pub"),
  };
}

/** The files of our own connection, made by `prepareKeyFolder`. */
export function controlPlaneTlsFiles(folder: string) {
  return {
    caFile: join(folder, "car-ca.pem"),
    keyFile: join(folder, "control-plane.key"),
    certificateFile: join(folder, "control-plane.pem"),
  };
}
