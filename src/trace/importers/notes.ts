/** What an importer left out or guessed, and how often; goes into the header. */
export class Notes {
  readonly #sayings: string[] = [];
  readonly #counts = new Map<string, number>();

  count(what: string, by = 1): void {
    if (by > 0) this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  /** Something that holds for the whole recording. */
  say(what: string): void {
    this.#sayings.push(what);
  }

  lines(): string[] {
    return [...this.#sayings, ...[...this.#counts].map(([what, count]) => `${count} ${what}`)];
  }
}
