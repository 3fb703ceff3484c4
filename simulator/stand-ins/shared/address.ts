import * as z from "zod";

const line = z.string().min(1).max(200);

export const addressSchema = z.strictObject({
  street: line,
  city: line,
  postalCode: z.string().min(1).max(20),
  country: line,
});
export type Address = z.infer<typeof addressSchema>;
