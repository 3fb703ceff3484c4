import type { TopicSwitch } from "../lane/topic-switch.ts";

// What aedes hands round and tells its siblings.

/**
 * A message as aedes' listeners take it. Without a number: aedes takes a message for a repeated one where a later
 * number came before it, as QoS 0 comes before QoS 1; without one each listener's copy is given the next.
 */
export function aedesPacket(message: { topic: string; payload: Buffer; qos: 0 | 1; retain: boolean }) {
  return { cmd: "publish", ...message, dup: false, brokerCounter: 0 };
}

type Counted = { topic: string; brokerCounter?: number };

/** The switch as aedes' `mq`: what aedes emits goes without a number too. */
export function createEmitter(topicSwitch: TopicSwitch<Counted>): TopicSwitch<Counted> {
  return {
    ...topicSwitch,
    emit(message, done) {
      message.brokerCounter = 0;
      return topicSwitch.emit(message, done);
    },
  };
}

/** What aedes tells its siblings: that a client has come (so the old connection goes), and that it is alive. */
const siblingTopic = /^\$SYS\/[^/]+\/(new\/clients|heartbeat|birth)$/;

export function isForSiblings(topic: string): boolean {
  return siblingTopic.test(topic);
}
