import { percentDecode, percentEncode } from './text.js'
import { showUrls } from './url-text.js'

const SECRET_KEY = /(^|[-_])(authorization|cookie|token|secret|password|apikey|key|code|verifier)$/i

/**
 * Parts between dots, of which the first may end in a JWT's header. Each run of characters is looked
 * at from its start only, so that no text makes this slow.
 */
const DOTTED = /(?<![\w-])[\w-]{11,}\.[\w-]+\.[\w-]*(?:\.[\w-]*){0,2}/g

const SHORTEST_JWT_HEADER = 11

/**
 * What follows a scheme, unless that is a parameter of a challenge or a word of a sentence about it,
 * which are no secrets.
 */
const CREDENTIAL =
  /(?<![A-Za-z])(bearer|basic|dpop)(?:\s+|(?:%20|\+)+)(?!(?:realm|error|error_description|error_uri|scope|resource|resource_metadata|authorization_uri|max_age|acr_values|nonce|algs|charset|title)=|(?:authenticat(?:ion|e)|authorization|challenges?|credentials?|protected|required|access[- ]tokens?|tokens?)(?![\w~+/=:%-]|\.\w))[\w.~+/=:%-]{8,}/gi

const PLACEHOLDER = '[redacted]'

/** Shorter ones are not looked for: they would be found in every other word. */
const SHORTEST = 4

/** A secret of this length cannot stand in a name or word by chance. */
const LONG = 16

/** Shorter secrets are too weak: a warning says so. */
const SHORTEST_SOUND = 8

/**
 * Removes secrets from text. In a name that the program works with, such as a tool's, only what can
 * stand there by no accident is removed.
 */
export type Redact = (text: string, isName?: boolean) => string

/** Tells by its name whether a field, header or variable holds a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_KEY.test(name.slice(-200).replace(/([a-z0-9])([A-Z])/g, '$1_$2'))
}

/**
 * Lists what may be secret in a URL, so that it can be removed from where only a part of the URL is
 * told, such as the answer of a server that names what it was requested.
 */
export function secretsOfUrl(url: string | undefined): string[] {
  if (url === undefined || !URL.canParse(url)) return []
  const { searchParams, password } = new URL(url)
  const values = [...searchParams].filter(
    ([name, value]) => isSecretName(name) || value.length >= LONG,
  )
  const texts = [password, percentDecode(password) ?? '', ...values.map(([, value]) => value)]
  return texts.filter((secret) => secret !== '')
}

/** Tells whether a secret is so short that it can hardly be told from other words. */
export function isShortSecret(secret: string): boolean {
  return secret !== '' && secret.length < SHORTEST_SOUND
}

/**
 * Creates a function that removes secrets from text: every value that was named as a secret,
 * whatever looks like a JWT or an Authorization value, and all but the place of web addresses.
 *
 * A value that may be a word counts only where it stands as one: `secret` is no part of the tool
 * `get_secret`. A long one is removed wherever it is, also as it is written in JSON, URLs and Base64.
 *
 * @param options.wholeUrls Keeps addresses as they are: whoever shows a setting hides what is secret in it.
 */
export function createRedactor(
  secrets: Iterable<string | undefined> = [],
  { wholeUrls = false } = {},
): Redact {
  const given = [...new Set(secrets)].filter((secret) => secret !== undefined)
  const long = spellings(given.filter(isLong), encodings)
  const short = spellings(
    given.filter((secret) => secret.length >= SHORTEST && !isLong(secret)),
    writings,
  )
  return (text, isName = false) => {
    let result = text
    for (const secret of long) {
      if (result.includes(secret)) result = result.replaceAll(secret, PLACEHOLDER)
    }
    if (!isName) {
      for (const secret of short) if (result.includes(secret)) result = replaceWord(result, secret)
      if (!wholeUrls) result = showUrls(result)
    }
    // most lines hold neither, and looking is cheaper than replacing
    if (result.includes('eyJ')) result = result.replace(DOTTED, withoutJwt)
    const lower = result.toLowerCase()
    const isLikely = lower.includes('bearer') || lower.includes('basic') || lower.includes('dpop')
    return isLikely ? result.replace(CREDENTIAL, `$1 ${PLACEHOLDER}`) : result
  }
}

function withoutJwt(dotted: string): string {
  const at = dotted.indexOf('eyJ')
  const isJwt = at >= 0 && dotted.indexOf('.') - at >= SHORTEST_JWT_HEADER
  return isJwt ? dotted.slice(0, at) + PLACEHOLDER : dotted
}

/** Long enough, and no word or name that somebody put together of words. */
function isLong(secret: string): boolean {
  return secret.length >= LONG && !/^[A-Za-z]*([-_. ][A-Za-z]*){0,8}$/.test(secret)
}

function replaceWord(text: string, secret: string): string {
  let result = ''
  let end = 0
  for (let at = text.indexOf(secret); at >= 0; at = text.indexOf(secret, at + 1)) {
    const after = at + secret.length
    if (at < end || !isWordEnd(text, at - 1, -1) || !isWordEnd(text, after, 1)) continue
    result += text.slice(end, at) + PLACEHOLDER
    end = after
  }
  return result + text.slice(end)
}

/** Tells whether no name goes on at a place: `.` and `-` go on only with a letter behind them. */
function isWordEnd(text: string, at: number, step: 1 | -1): boolean {
  const character = text.charAt(at)
  if (/^[.-]$/.test(character)) return !/^\w$/.test(text.charAt(at + step))
  return !/^\w$/.test(character)
}

function spellings(
  secrets: readonly string[],
  spell: (secret: string) => readonly string[],
): string[] {
  const found = new Set(secrets.flatMap((secret) => spell(secret)))
  // longest first: one may be a part of another
  return [...found].filter((text) => text !== '').sort((a, b) => b.length - a.length)
}

/** A secret as it is and as it stands in JSON and in a URL. */
function writings(secret: string): string[] {
  const encoded = percentEncode(secret)
  return [secret, JSON.stringify(secret).slice(1, -1), encoded, encoded.replaceAll('%20', '+')]
}

/** Also within Base64, where what stands around a secret decides on its first and last character. */
function encodings(secret: string): string[] {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.from('\0'.repeat(offset) + secret)
    const whole = bytes.toString('base64')
    const start = Math.ceil((offset * 4) / 3)
    const inner = whole.slice(start, Math.floor((bytes.length * 4) / 3))
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [...writings(secret), ...base64]
}
/**
 * What a terminal obeys instead of showing it, and what breaks lines: C0 and C1 controls, line and
 * paragraph separators, and the marks that turn the direction of text.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is meant
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g

/** Keeps text from outside from moving the cursor, breaking lines or turning text around. */
export function printable(text: string): string {
  return text.replace(UNSAFE, ' ')
}

/**
 * Creates a function that makes text fit to be shown: without secrets and control characters.
 *
 * @param secrets May grow while the function is in use.
 */
export function createCleaner(secrets: readonly (string | undefined)[]): Redact {
  return (text, isName) => printable(createRedactor(secrets)(text, isName))
}

/** The same, but lines stay lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** The same for one line of JSON, whose strings stay what they were: each of them is escaped. */
export function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (run) => {
    let escaped = ''
    for (let i = 0; i < run.length; i++) {
      escaped += `\\u${run.charCodeAt(i).toString(16).padStart(4, '0')}`
    }
    return escaped
  })
}
