import { stderr, stdout } from 'node:process';
import cliProgress from 'cli-progress';

/** Prints a JSON document, alone, on standard output. */
export function printJson(document: unknown): void {
  stdout.write(`${JSON.stringify(document)}\n`);
}

export function print(text: string): void {
  stdout.write(`${text}\n`);
}

/** Colour only for a terminal, and never with NO_COLOR. */
export function hasColor(): boolean {
  return isTerminal() && (process.env['NO_COLOR'] ?? '') === '';
}

export function isTerminal(): boolean {
  return stdout.isTTY === true;
}

export function terminalWidth(): number {
  return stdout.columns ?? 100;
}

/** A progress line on standard error, only if that is a terminal. */
export class Progress {
  readonly #bar: cliProgress.SingleBar | null;

  constructor(title: string) {
    if (stderr.isTTY !== true) {
      this.#bar = null;
      return;
    }
    this.#bar = new cliProgress.SingleBar({
      format: `${title}: {value} {unit} {duration_formatted}`,
      stream: stderr,
      clearOnComplete: true,
      hideCursor: true,
    });
    this.#bar.start(0, 0, { unit: 'events' });
  }

  update(value: number): void {
    this.#bar?.update(value);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
