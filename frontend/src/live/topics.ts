import type { QueryClient } from "@tanstack/react-query";

/** Which reads a hint makes old, by the beginning of their keys. */
export function keysOf(topic: string): unknown[][] {
  const [word, id] = topic.split(":");
  const number = Number(id);
  switch (word) {
    case "overview":
      return [["overview"], ["alerts"]];
    case "sites":
      return [["sites"], ["overview"]];
    case "pair":
      return [["pair"]];
    case "plan":
      return [["plan", number]];
    case "run":
      return [["run", number]];
    case "runs":
      return [["runs"], ["plan"], ["overview"]];
    default:
      return [];
  }
}

/**
 * Turns hints into refetches, one at a time per topic: a busy run sends many a second, and a refetch that each hint
 * cancelled would never end. A hint that comes during a refetch causes exactly one more.
 */
export class Refetcher {
  private readonly client: QueryClient;
  private readonly pause_ms: number;
  private busy = new Set<string>();
  private again = new Set<string>();

  constructor(client: QueryClient, pause_ms = 250) {
    this.client = client;
    this.pause_ms = pause_ms;
  }

  hint(topic: string): void {
    if (this.busy.has(topic)) {
      this.again.add(topic);
      return;
    }
    this.busy.add(topic);
    void this.refetch(topic);
  }

  private async refetch(topic: string): Promise<void> {
    do {
      this.again.delete(topic);
      try {
        await Promise.all(keysOf(topic).map((queryKey) => this.client.invalidateQueries({ queryKey })));
      } catch {
        // The query itself shows its error; polling goes on.
      }
      await new Promise((resolve) => setTimeout(resolve, this.pause_ms));
    } while (this.again.has(topic));
    this.busy.delete(topic);
  }
}
