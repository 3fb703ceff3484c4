import * as z from "zod";
import { jobType, perPurchase } from "../../store/jobs.ts";

/** `inOrderOf`: mails with the same leave one after another. */
export const sendMailJob = jobType(
  "sendMail",
  z.object({ notificationId: z.uuid(), inOrderOf: z.string().nullish() }),
  perPurchase,
);

/**
 * The queue waits e, e², … up to e¹⁰ s between tries, so twelve reach over about half a day: longer than a mail
 * server is down, shorter than a message is of use.
 */
export const mailAttempts = 12;
