/** One message as it stands on the wire. */
export type WireMessage = { topic: string; payload: string; qos: 0 | 1; retain: boolean };

export type ConnectOptions = {
  clientId: string;
  /** What the broker says when the car goes without a word. */
  will: WireMessage;
  /** Exact topics, QoS 1. */
  subscriptions: readonly string[];
  /** Called in the order of arrival; must not throw. */
  onMessage: (topic: string, payload: Buffer) => void;
  /** Gives up a connection that is still being made. */
  signal: AbortSignal;
};

/** One connection, from its acceptance to its end; a transport never reconnects by itself. */
export type CarLink = {
  /** Resolves when the broker has taken the message (QoS 1); rejects when the link ended before. */
  publish(message: WireMessage): Promise<void>;
  /** Says goodbye, so that the broker keeps the will to itself. */
  close(): Promise<void>;
  /** Goes without a word, as a car that loses power does. */
  drop(): void;
  /** Resolves with the reason once the link has ended, for whatever reason. */
  closed: Promise<string>;
};

/**
 * The way to a broker. Where the broker is and how to prove who the car is are the transport's own matter.
 * Nothing rests on its queues or acknowledgements: what matters is said again on the next connection.
 */
export type CarTransport = {
  /** Resolves when connected and subscribed; rejects when the broker is away or refuses. */
  connect(options: ConnectOptions): Promise<CarLink>;
};
