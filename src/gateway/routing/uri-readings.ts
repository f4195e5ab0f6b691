import { isObject, type JsonObject, ownMember } from '../../util/json.js'
import { foldName, percentEncode } from '../../util/text.js'

/*
 * Whatever a URI may be taken for. Servers parse URIs in many ways: some decode escapes, twice even,
 * some resolve `..`, some take all behind the scheme for a path, some leave the query away. What
 * restricts a resource has to hold for each of these readings.
 */

/** Nobody's resource has a longer URI; each of its readings costs time. */
export const MAX_URI_LENGTH = 8_192

/** How often escapes are decoded; a URI that is escaped more often has no readings. */
const MAX_LAYERS = 3

const ESCAPES = /(?:%[0-9a-f]{2})+/gi

const AUTHORITY = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)/i

const WEB_SCHEMES: ReadonlySet<string> = new Set(['http', 'https', 'ws', 'wss'])

const WIDE_ESCAPE = /%u([0-9a-f]{4})/gi

/** Dots and slashes in more bytes than UTF-8 allows, which old decoders take. */
const OVERLONG: readonly [RegExp, string][] = [
  [/%c0%ae/gi, '.'],
  [/%c0%af/gi, '/'],
  [/%c1%9c/gi, '\\'],
]

export interface UriReadings {
  /** Folded, as patterns are. */
  readonly texts: readonly string[]
  /** It has a segment `..` in one of them, and so may mean something elsewhere. */
  readonly climbs: boolean
}

/**
 * Returns all that a URI may be taken for.
 *
 * @returns `undefined` when it is too long, or escaped too often, to be judged.
 */
export function readingsOfUri(uri: string): UriReadings | undefined {
  const layers = uri.length > MAX_URI_LENGTH ? undefined : layersOf(uri)
  if (layers === undefined) return undefined
  const texts = new Set<string>()
  let climbs = false
  for (const layer of layers) {
    for (const slashed of new Set([layer, layer.replaceAll('\\', '/')])) {
      for (const part of [slashed, cutAt(slashed, '#'), cutAt(slashed, '?')]) {
        for (const text of withLooserForms(part)) {
          const flat = flatten(text)
          climbs ||= flat.climbs
          const end = flat.isFolder ? '/' : ''
          for (const reading of [text, flat.text, flat.text + end, flatten(text, bare).text]) {
            texts.add(foldName(reading))
          }
        }
      }
    }
  }
  return { texts: [...texts], climbs }
}

/** Returns all that a pattern over URIs may be written as. */
export function writingsOfPattern(pattern: string): readonly string[] {
  const texts = new Set([foldName(pattern)])
  // what is escaped there would be a wildcard
  const layers = /%2a/i.test(pattern) ? undefined : layersOf(pattern)
  for (const layer of layers ?? [pattern]) {
    for (const text of withStandardForm(layer)) {
      const flat = flatten(text.replaceAll('\\', '/'))
      const end = flat.isFolder ? '/' : ''
      for (const writing of [text, flat.text, flat.text + end]) texts.add(foldName(writing))
    }
  }
  return [...texts]
}

/** As it is written, and decoded as often as somebody may, folded and not. */
function layersOf(text: string): Set<string> | undefined {
  const layers = new Set<string>()
  for (const start of [text, foldName(text)]) {
    let layer = start
    for (let count = 0; ; count++) {
      layers.add(layer).add(foldName(layer))
      const next = start === text ? decodeOnce(layer) : foldName(decodeOnce(layer))
      if (next === layer) break
      if (count === MAX_LAYERS) return undefined
      layer = next
    }
  }
  return layers
}

function decodeOnce(text: string): string {
  if (!text.includes('%')) return text
  let decoded = text
  for (const [written, meant] of OVERLONG) decoded = decoded.replace(written, meant)
  return decoded
    .replace(WIDE_ESCAPE, (_all, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(ESCAPES, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}

/** @see [URL Standard](https://url.spec.whatwg.org/#url-parsing) */
function withStandardForm(text: string): Set<string> {
  const forms = new Set([text])
  if (!URL.canParse(text)) return forms
  const url = new URL(text)
  url.username = ''
  url.password = ''
  return forms.add(url.href)
}

/**
 * Many servers read of `file:` the path alone, whatever the host, and of their own schemes the host
 * alone, whatever the port. On the web, another port is another server.
 */
function withLooserForms(text: string): Set<string> {
  const forms = withStandardForm(text)
  const [written, scheme = '', authority = ''] = AUTHORITY.exec(text) ?? []
  if (written === undefined || authority === '' || WEB_SCHEMES.has(scheme.toLowerCase()))
    return forms
  const rest = text.slice(written.length)
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const name = /^\[[^\]]*\]/.exec(host)?.[0] ?? cutAt(host, ':')
  return forms.add(`${scheme}://${scheme.toLowerCase() === 'file' ? '' : name}${rest}`)
}

/** Reads all behind the scheme as one path, and resolves it. */
function flatten(text: string, read = (segment: string) => segment) {
  const behindScheme = text.indexOf(':') + 1
  const kept: string[] = []
  let climbs = false
  let isFolder = false
  for (const segment of text.slice(behindScheme).split('/')) {
    const name = cutAt(segment, ';')
    isFolder = name === '' || name === '.' || name === '..'
    if (name === '..') {
      climbs = true
      kept.pop()
    } else if (name !== '' && name !== '.') kept.push(read(segment))
  }
  return { text: `${text.slice(0, behindScheme)}/${kept.join('/')}`, climbs, isFolder }
}

/** Without parameters, and without the dots and spaces that some file systems and hosts ignore. */
function bare(segment: string): string {
  const name = cutAt(segment, ';')
  let end = name.length
  while (end > 0 && (name[end - 1] === '.' || name[end - 1] === ' ')) end--
  return name.slice(0, end)
}

function cutAt(text: string, mark: string): string {
  const at = text.indexOf(mark)
  return at < 0 ? text : text.slice(0, at)
}

interface Operator {
  /** What stands before the values of an expression. */
  readonly first: string
  readonly between: string
  readonly isNamed?: boolean
  /** Nothing is escaped. */
  readonly isRaw?: boolean
}

const SIMPLE: Operator = { first: '', between: ',' }

const OPERATORS: Readonly<Record<string, Operator>> = {
  '+': { first: '', between: ',', isRaw: true },
  '#': { first: '#', between: ',', isRaw: true },
  '.': { first: '.', between: '.' },
  '/': { first: '/', between: '/' },
  ';': { first: ';', between: ';', isNamed: true },
  '?': { first: '?', between: '&', isNamed: true },
  '&': { first: '&', between: '&', isNamed: true },
}

/** A template as a glob: `*` stands for all that is not known. */
interface TemplateGlob {
  readonly glob: string
  /** Everything is known: it is a URI. */
  readonly isWhole: boolean
}

/**
 * Writes known values into a URI template.
 *
 * @see [RFC 6570](https://www.rfc-editor.org/rfc/rfc6570)
 */
export function globOfTemplate(template: string, known: JsonObject = {}): TemplateGlob {
  let glob = ''
  let isWhole = true
  let at = 0
  for (;;) {
    const start = template.indexOf('{', at)
    if (start < 0) return { glob: glob + template.slice(at), isWhole }
    const end = template.indexOf('}', start)
    const expression = end < 0 ? undefined : expand(template.slice(start + 1, end), known)
    if (expression === undefined) isWhole = false
    glob += template.slice(at, start) + (expression ?? '*')
    if (end < 0) return { glob, isWhole }
    at = end + 1
  }
}

/** @returns `undefined` when a value is not known, or would not be written whole. */
function expand(expression: string, known: JsonObject): string | undefined {
  const sign = expression.charAt(0)
  const operator = ownMember(OPERATORS, sign)
  const { first, between, isNamed, isRaw } = operator ?? SIMPLE
  const written: string[] = []
  for (const name of expression.slice(operator === undefined ? 0 : 1).split(',')) {
    const value = ownMember(known, name)
    if (typeof value !== 'string') return undefined
    const text = isRaw ? value : percentEncode(value)
    written.push(isNamed ? `${name}=${text}` : text)
  }
  return first + written.join(between)
}

/** The values that a completion says to be known already. */
export function knownArguments(context: unknown): JsonObject {
  const given = isObject(context) ? ownMember(context, 'arguments') : undefined
  if (!isObject(given)) return {}
  return Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value === 'string'))
}
