/** Business-time deadlines of an activation: when its next attempt begins, and when its money runs out. */
export const retryTimer = "activationRetry";
export const giveUpTimer = "activationGiveUp";
