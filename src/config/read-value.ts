import { isObject, ownMember } from '../util/json.js'
import { createRedactor, isSecretName } from '../util/redact.js'
import { isInherited } from '../util/system.js'
import { cutText } from '../util/text.js'
import { markUrl } from '../util/url-text.js'
import { SETTING_KINDS } from './kinds.js'
import { type LayerPart, type Raw, readValueFromText, type Sourced } from './layers.js'
import { PARSERS } from './parsers.js'
import {
  type Expanded,
  expandVariables,
  hasReference,
  isFileReference,
  readSecretFile,
} from './references.js'
import type { Setting } from './table.js'

/** What reading the settings collects. */
export interface ValueFindings {
  problems: string[]
  warnings: string[]
  secrets: Set<string>
  /** Every file that a value names. */
  files?: Set<string>
}

export interface ReadContext {
  /** Finds a variable, and says whether it is one of the environment or of `.env`. */
  lookUp: (variable: string) => Sourced<string> | undefined
  homeDir: string
}

/**
 * Replaces references in a raw value, reads it as the setting's kind and checks it.
 *
 * @returns The value, or `undefined` after adding a problem; and what references were replaced by.
 */
export function readValue(
  row: Setting,
  key: string,
  raw: Raw,
  context: ReadContext,
  findings: ValueFindings,
): Read {
  const parts: LayerPart[] = []
  const wrong = (what: string, write: string) => {
    findings.problems.push(`${what} (${raw.from}) — write ${write}`)
    return { value: undefined, parts }
  }
  const unset = raw.isText && /^\$\{[^}]*\}$/.exec(String(raw.value))
  if (unset) {
    return wrong(
      `${key} is the literal text ${unset[0]}: whatever started this program did not replace it`,
      'the value, or set that variable there',
    )
  }
  const expanded = expandDeep(row, key, raw, raw.value, context, { ...findings, parts })
  if (expanded.problem) return wrong(`${key}: ${expanded.problem[0]}`, expanded.problem[1])
  const isText = raw.isText || (typeof raw.value === 'string' && expanded.value !== raw.value)
  const value =
    isText && typeof expanded.value === 'string'
      ? readValueFromText(row, expanded.value)
      : expanded.value
  const parsed = PARSERS[row.kind].safeParse(value)
  if (!parsed.success) {
    // a message of our own says more than the value
    const own = parsed.error.issues.find(({ code }) => code === 'custom')?.message
    const what =
      SETTING_KINDS[row.kind].explains && own ? own : describe(row, expanded.value, findings)
    return wrong(`${key} ${what}`, SETTING_KINDS[row.kind].expects)
  }
  if (row.secret) for (const secret of texts(parsed.data)) keepSecret(secret, findings)
  else if (row.kind === 'url') keepQuerySecrets(String(parsed.data), findings)
  else if (row.kind === 'environment') keepNamedSecrets(parsed.data as object, key, raw, findings)
  return { value: parsed.data, parts }
}

interface Read {
  readonly value: unknown
  readonly parts: readonly LayerPart[]
}

type Deep = { value: unknown; problem?: Expanded['problem'] }

function expandDeep(
  row: Setting,
  key: string,
  raw: Raw,
  value: unknown,
  context: ReadContext,
  findings: ValueFindings & { parts: LayerPart[] },
): Deep {
  if (typeof value === 'string') {
    const isFile = row.secret && isFileReference(value)
    if (!isFile && raw.isText) return { value }
    const isOpen = row.kind === 'storeUrl' && !value.includes('@')
    if (row.secret && !isOpen && !isFile && !hasReference(value) && raw.from.startsWith('file ')) {
      findings.warnings.push(
        `${key} is in plain text in the file (${raw.from}) — write \${VARIABLE} or @/path/to/file`,
      )
    }
    const { text, parts, names, file, problem } = isFile
      ? readSecretFile(value, raw.folder, context.homeDir)
      : expandVariables(value, (name) => {
          const found = context.lookUp(name)?.value
          if (found && isSecretName(name)) keepSecret(found, findings)
          return found
        })
    if (file !== undefined) findings.files?.add(file)
    const isWhole = parts.length === 1 && text === parts[0]
    const named = isFile ? [value] : names
    for (const name of named) {
      const from = isFile ? value : (context.lookUp(name)?.from ?? '')
      findings.parts.push({ name, from, isWhole, written: value })
    }
    // variables that every program inherits are no secrets
    const isSecret = row.secret || (row.kind === 'environment' && !names.every(isInherited))
    if (isSecret) for (const part of parts) keepSecret(part, findings)
    return problem ? { value: text, problem } : { value: text }
  }
  if (typeof value !== 'object' || value === null) return { value }
  const members = Object.entries(value).map(
    ([name, item]) => [name, expandDeep(row, key, raw, item, context, findings)] as const,
  )
  const problem = members.find(([, item]) => item.problem)?.[1].problem
  const result = Array.isArray(value)
    ? members.map(([, item]) => item.value)
    : Object.fromEntries(members.map(([name, item]) => [name, item.value]))
  return problem ? { value: result, problem } : { value: result }
}

/** Adds a secret; of a whole Authorization value, the part after the scheme too. */
function keepSecret(secret: string, { secrets }: ValueFindings): void {
  if (secret === '') return
  secrets.add(secret)
  const bare = /^(?:bearer|basic|token)\s+(\S+)$/i.exec(secret)?.[1]
  if (bare) secrets.add(bare)
}

function keepQuerySecrets(url: string, findings: ValueFindings): void {
  for (const [name, value] of new URL(url).searchParams) {
    if (isSecretName(name)) keepSecret(value, findings)
  }
}

/** Treats variables with a secret's name as secrets, even when their value is in the file. */
function keepNamedSecrets(env: object, key: string, raw: Raw, findings: ValueFindings): void {
  for (const [name, value] of Object.entries(env)) {
    if (!isSecretName(name)) continue
    keepSecret(value, findings)
    const written = isObject(raw.value) ? ownMember(raw.value, name) : undefined
    if (typeof written !== 'string' || hasReference(written) || !raw.from.startsWith('file '))
      continue
    findings.warnings.push(
      `${key}.${name} is in plain text in the file (${raw.from}) — write \${VARIABLE}`,
    )
  }
}

const texts = (value: unknown): string[] =>
  [value].flat().filter((item): item is string => typeof item === 'string')

function describe(row: Setting, value: unknown, { secrets }: ValueFindings): string {
  if (row.secret) return 'is invalid'
  return `is ${createRedactor(secrets, { wholeUrls: true })(showValue(value))}`
}

/** Writes a value in one line; a URL without user name, password and query. */
function showValue(value: unknown): string {
  const shown = (item: unknown) => (typeof item === 'string' ? shownValue(item) : item)
  const text = JSON.stringify(value, (_name, item) => shown(item)) ?? String(value)
  return cutText(text, 79)
}

const shownValue = (text: string): string => (text.includes('://') ? markUrl(text) : text)
