/** One message on the wire. */
export type WireMessage = { topic: string; payload: string; qos: 0 | 1; retain: boolean };

export type ConnectOptions = {
  clientId: string;
  /** Published by the broker when the car vanishes. */
  will: WireMessage;
  /** Exact topics, QoS 1. */
  subscriptions: readonly string[];
  /** Called in order of arrival; must not throw. */
  onMessage: (topic: string, payload: Buffer) => void;
  /**
   * The time is at least this, by signatures alone. The dates of the broker's certificate are judged by it; without it,
   * by the system's clock.
   */
  signedTime?: Date;
  /** Aborts a connection that is still being made. */
  signal: AbortSignal;
};

/** One connection, from its acceptance to its end; a transport never reconnects by itself. */
export type CarLink = {
  /** Resolves when the broker has taken the message (QoS 1); rejects when the link ended before. */
  publish(message: WireMessage): Promise<void>;
  /** Disconnects in order, so that the broker does not publish the will. */
  close(): Promise<void>;
  /** Drops the connection, as a car that loses power does. */
  drop(): void;
  /** Resolves with the reason once the link has ended, for whatever reason. */
  closed: Promise<string>;
};

/**
 * The way to a broker. The transport knows the broker's address and the car's credential. Nothing relies on its
 * queues or acknowledgements: everything important is sent again on the next connection.
 */
export type CarTransport = {
  /** Resolves when connected and subscribed; rejects when the broker is away or refuses. */
  connect(options: ConnectOptions): Promise<CarLink>;
};
