import { checkTargetName, type Layer, type Raw, type Sourced } from './layers.js'
import { type ReadContext, readValue, type ValueFindings } from './read-value.js'
import { SETTINGS } from './settings.js'
import type { Setting } from './table.js'
import type { ConfigUse } from './types.js'

/** Every setting with its value, its origin and the findings about it. */
export interface Resolution extends ValueFindings {
  /** Effective values, by key, in the order of the table. Invalid ones hold `undefined`. */
  values: Map<string, Sourced>
  /** The raw values of each key, strongest source first. */
  raws: Map<string, readonly Raw[]>
  /** Keys whose value is invalid. */
  invalid: Set<string>
  /** Names of the targets, in the order in which they are configured. */
  targets: readonly string[]
}

/**
 * Takes each setting from the strongest source that has it, and checks its value.
 *
 * @param layers Strongest first. Nothing is merged below a key: lists replace lists.
 */
export function resolveLayers(
  layers: readonly Layer[],
  targets: readonly string[],
  use: ConfigUse,
  context: ReadContext,
  findings: ValueFindings,
): Resolution {
  const empty = { values: new Map(), raws: new Map(), invalid: new Set<string>() }
  const resolution: Resolution = { ...findings, ...empty, targets }
  for (const [row, target] of expectedRows(targets)) {
    resolveKey(row, target, layers, use, context, resolution)
  }
  return resolution
}

/** Yields each row of the table; rows of targets once for each target, at their place. */
function* expectedRows(targets: readonly string[]): Generator<readonly [Setting, string]> {
  const ofTargets = SETTINGS.filter((row) => row.key.includes('*'))
  for (const row of SETTINGS) {
    if (row === ofTargets[0]) {
      for (const target of targets) for (const own of ofTargets) yield [own, target]
    } else if (!ofTargets.includes(row)) yield [row, '']
  }
}

function resolveKey(
  row: Setting,
  target: string,
  layers: readonly Layer[],
  use: ConfigUse,
  context: ReadContext,
  resolution: Resolution,
): void {
  const key = row.key.replace('*', target)
  const raws = layers.map((layer) => layer.get(key)).filter((raw) => raw !== undefined)
  const [first] = raws
  resolution.raws.set(key, raws)
  if (first === undefined || isReplacedCredential(key, layers)) {
    resolution.values.set(key, { value: defaultOf(row, target, use, resolution), from: 'default' })
    return
  }
  const { value, parts } = readValue(row, key, first, context, resolution)
  if (value === undefined) resolution.invalid.add(key)
  resolution.values.set(key, { value, from: first.from, ...(parts.length > 0 && { parts }) })
}

function defaultOf(row: Setting, target: string, use: ConfigUse, { targets }: Resolution): unknown {
  if (row.key !== 'targets.*.prefix') return row.default
  return use === 'stdio' && targets.length === 1 ? '' : target
}

/** A stronger source's credential replaces a weaker one's as a whole, never member by member. */
function isReplacedCredential(key: string, layers: readonly Layer[]): boolean {
  const [, target] = /^(targets\.[^.]+\.credential\.)(?!type$)/.exec(key) ?? []
  if (target === undefined) return false
  const withType = layers.findIndex((layer) => layer.has(`${target}type`))
  return withType >= 0 && layers.findIndex((layer) => layer.has(key)) > withType
}

/**
 * Returns the names of the targets, those of the weakest source first. In a file any member makes a
 * target; of flags and variables only the URL does.
 */
export function targetNames(layers: readonly Layer[], findings: ValueFindings): string[] {
  const names = new Map<string, Raw>()
  for (const layer of layers.toReversed()) {
    for (const [key, raw] of layer) {
      const name = /^targets\.([^.*]+)\./.exec(key)?.[1]
      if (name === undefined || names.has(name)) continue
      if (raw.isText && !key.endsWith('.url')) continue
      if (raw.isText) checkTargetName(name, raw.from, findings.problems)
      names.set(name, raw)
    }
  }
  for (const raw of strayTokens(layers, names)) {
    findings.warnings.push(
      `${raw.from.split(' ')[1]} is not used, because no target is called "target" (${raw.from}) — set TARGET_MCP_SERVER_URL too`,
    )
  }
  return [...names.keys()]
}

function strayTokens(layers: readonly Layer[], names: ReadonlyMap<string, Raw>): Raw[] {
  if (names.has('target')) return []
  // a reference to the variable uses it
  const values = layers.flatMap((layer) => [...layer.values()].map(({ value }) => value))
  if (/\$\{TARGET_TOKEN\b/.test(JSON.stringify(values))) return []
  return layers
    .map((layer) => layer.get('targets.target.credential.token'))
    .filter((raw) => raw !== undefined)
}

/** Applies `--prefix` to the only target. */
export function placePrefix(flags: Layer, targets: readonly string[], problems: string[]): Layer {
  const raw = flags.get('targets.*.prefix')
  if (raw === undefined || targets.length === 0) return flags
  if (targets.length > 1) {
    problems.push(
      `--prefix applies to a single target, and there are ${targets.length} (${raw.from}) — write "prefix" in each target of the configuration file`,
    )
    return flags
  }
  return new Map([...flags, [`targets.${targets[0]}.prefix`, raw]])
}
