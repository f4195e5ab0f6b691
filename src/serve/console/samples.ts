import { ownMember } from '../../util/json.js'

/** One line of Prometheus's text. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Samples by the name of their metric. */
export type Samples = ReadonlyMap<string, readonly Sample[]>

const PREFIX = 'mcp_proxy_'

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/

const LABEL = /(?<!\w)(\w+)="((?:[^"\\]|\\.)*)"/g

/** Reads our own metrics from the text that Prometheus would get. */
export function readSamples(text: string): Samples {
  const samples = new Map<string, Sample[]>()
  for (const line of text.split('\n')) {
    if (!line.startsWith(PREFIX)) continue
    const [, name = '', labels = '', value] = LINE.exec(line) ?? []
    const entries = [...labels.matchAll(LABEL)].map(([, label = '', written = '']) => [
      label,
      written.replace(/\\(.)/g, (_all, char: string) => (char === 'n' ? '\n' : char)),
    ])
    const known = samples.get(name)
    const sample = { labels: Object.fromEntries(entries), value: Number(value) }
    if (known === undefined) samples.set(name, [sample])
    else known.push(sample)
  }
  return samples
}

/** Adds up the samples of a metric that have all these labels. */
export function sumOf(
  samples: Samples,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels)
  return (samples.get(PREFIX + name) ?? [])
    .filter((sample) => wanted.every(([label, value]) => ownMember(sample.labels, label) === value))
    .reduce((sum, { value }) => sum + value, 0)
}

/** Returns the values of a label in the order of their samples, each once. */
export function valuesOf(samples: Samples, name: string, label: string): string[] {
  const values = (samples.get(PREFIX + name) ?? []).map(
    ({ labels }) => ownMember(labels, label) ?? '',
  )
  return [...new Set(values)]
}
