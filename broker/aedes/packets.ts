import type { TopicSwitch } from "../lane/topic-switch.ts";

// Messages in the shape that aedes passes to its listeners and to its siblings.

/**
 * A message for aedes' listeners, without a number: aedes drops a message as repeated when one with a higher number
 * came before it, as QoS 0 overtakes QoS 1. Without a number each listener's copy gets the next one.
 */
export function aedesPacket(message: { topic: string; payload: Buffer; qos: 0 | 1; retain: boolean }) {
  return { cmd: "publish", ...message, dup: false, brokerCounter: 0 };
}

type Counted = { topic: string; brokerCounter?: number };

/** The switch as aedes' `mq`: messages that aedes emits go without a number too. */
export function createEmitter(topicSwitch: TopicSwitch<Counted>): TopicSwitch<Counted> {
  return {
    ...topicSwitch,
    emit(message, done) {
      message.brokerCounter = 0;
      return topicSwitch.emit(message, done);
    },
  };
}

/** aedes tells its siblings that a client has connected (so its old connection ends), and that it is alive. */
const siblingTopic = /^\$SYS\/[^/]+\/(new\/clients|heartbeat|birth)$/;

export function isForSiblings(topic: string): boolean {
  return siblingTopic.test(topic);
}
