import { CapabilityError } from '../../base/index.ts';
import type {
  Figure,
  FigureContext,
  FigureResult,
  FigureRow,
  ReproduceDocument,
} from './figure.ts';

/** Runs figures one after the other. `host` says in words which machine measured. */
export async function reproduce(
  figures: readonly Figure[],
  context: FigureContext,
  host: string,
): Promise<ReproduceDocument> {
  const rows: FigureRow[] = [];
  for (const figure of figures) rows.push(await rowOf(figure, context));
  return { pagelab: 1, host, rows };
}

async function rowOf(figure: Figure, context: FigureContext): Promise<FigureRow> {
  const startedMs = context.nowMs();
  context.onProgress(figure.id);
  const { id, seed, what, unit, published, source, method, inputs, rule } = figure;
  const result = await runFigure(figure, context);
  const elapsedMs = Math.round(context.nowMs() - startedMs);
  return { id, seed, what, unit, published, source, method, inputs, rule, ...result, elapsedMs };
}

/** What this machine cannot measure is a row too: the others are not lost by it. */
async function runFigure(figure: Figure, context: FigureContext): Promise<FigureResult> {
  try {
    return await figure.run(context);
  } catch (error) {
    if (!(error instanceof CapabilityError)) throw error;
    return { here: 'not run', verdict: 'not comparable', why: error.message, parts: [] };
  }
}
