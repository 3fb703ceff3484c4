import { type Agent, type AgentOptions, createAgent } from "./agent.ts";
import { createCertificateKeeper } from "./identity/certificate-keeper.ts";
import type { CarIdentity } from "./identity/identity.ts";
import { createMqttTransport } from "./link/mqtt-transport.ts";

type Given = Omit<AgentOptions, "certificates" | "transport" | "random" | "identity"> & {
  identity: CarIdentity;
  /** Replaces the broker's address that enrolment gave. */
  brokerUrl: string | undefined;
};

/** An agent that connects by MQTT with the certificate it keeps renewed. Not yet started. */
export function openAgent({ brokerUrl, ...given }: Given): Agent {
  const random = Math.random;
  const certificates = createCertificateKeeper({ ...given, random });
  const { broker } = given.identity;
  const transport = createMqttTransport({
    ...broker,
    url: brokerUrl ?? broker.url,
    tls() {
      const { certificate, tlsKeyPem, brokerCa } = certificates.credential;
      return { certificate, key: tlsKeyPem, ca: brokerCa };
    },
  });
  return createAgent({ ...given, certificates, transport, random });
}
