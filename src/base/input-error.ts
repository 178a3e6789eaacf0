/**
 * Bad input from the user: one line that says what is wrong, where, and what would be right.
 * The command line turns it into exit code 2.
 */
export class InputError extends Error {
  override name = 'InputError';
}

/** This machine cannot do it: names the missing capability and what to do. Exit code 3. */
export class CapabilityError extends Error {
  override name = 'CapabilityError';
}
