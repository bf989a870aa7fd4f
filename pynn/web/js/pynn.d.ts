/** A model that `pynn export --to web` wrote. `pynn.load()` gives the one of the script that defines `pynn`. */
export as namespace pynn;

export interface Layer { name: string; shape: number[] }
export interface Weight { shape: number[]; values: Float32Array }
export interface FitOptions {
  /** Passes over the samples; 1 by default. */
  epochs?: number;
  /** Whether every epoch has an order of its own, that of Python; true by default. */
  shuffle?: boolean;
  /** The learning rate; by default the one that the model was compiled with. */
  rate?: number;
  onEpoch?: (epoch: number, loss: number) => void;
}

export class Model {
  /** Whether every bit is that of Python on a machine with fused multiply-adds. */
  readonly exact: boolean;
  /** Names and shapes of what is kept of a prediction. */
  readonly layers: Layer[];
  /** The output for one sample, or for several one after the other. */
  predict(x: ArrayLike<number>): Float32Array;
  /** What the i-th layer gave for the last sample. */
  layer(i: number): Float32Array;
  weights(): Record<string, Weight>;
  setWeight(name: string, values: ArrayLike<number>): void;
  /** Trains as Python's fit() does, on whole batches; only where the step came along. */
  fit(x: ArrayLike<number>, y: ArrayLike<number>, options?: FitOptions): { loss: number[]; accuracy: number[] };
}

/** Starts the kernels; without an argument, with the model that this file holds. */
export function load(data?: object): Promise<Model>;
