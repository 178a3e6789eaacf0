export type {
  AllocatorRow,
  Figure,
  FigureContext,
  FigureRow,
  MultiFaultMeasurement,
  MultiFaultRow,
  MultiFaultWay,
  ReproduceDocument,
  Spread,
} from './figure.ts';
export { FIGURES, findFigures } from './registry.ts';
export { reproduce } from './reproduce.ts';
