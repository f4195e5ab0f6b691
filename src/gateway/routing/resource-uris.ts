import { percentEncode } from '../../util/text.js'
import type { Named } from './names.js'

/*
 * Resource URIs when several targets share one server. Clients parse them, and many write them anew:
 * `new URL`, pydantic's AnyUrl and Go's net/url lower the case of hosts, take `..` and slashes away
 * and escape characters. What a client gets is therefore what none of them changes, and leads back
 * to the target's own URI byte for byte.
 *
 *   note://a/b          note://docs/a/b               the target's name comes first
 *   file:///etc/hosts   file://docs/=/etc/hosts       no slash meets another
 *   note://a/../b       note://docs/+a%2F..%2Fb       what would be changed is escaped
 *   urn:x               docs+urn:x                    without `://`
 *   Urn:x               docs+uri:Urn%3Ax              the same, where something would be changed
 *   {+uri}              docs+{+uri}                   templates stay templates
 *   file://{+path}      file://docs/={+path}
 */

const HEAD = /^([a-z][a-z0-9+.-]*:\/\/)/

const SCHEME_AND_REST = /^[a-z][a-z0-9.-]*:[^:]/

/** Characters that no client escapes or interprets. */
const PLAIN = /^[A-Za-z0-9\-._~!$&()*+,;=:@/?%]*(?:#[A-Za-z0-9\-._~!$&()*+,;=:@/?%]+)?$/

/** Escapes that some clients write differently: in lower case, or of characters that need none. */
const ODD_ESCAPE = /%(?![0-9A-F]{2})|%(?:2D|2E|5F|7E|3[0-9]|[46][1-9A-F]|[57][0-9A])/

/** Segments and endings that some clients remove. */
const ODD_SEGMENT = /\/\/|\/\.{1,2}(?:[/?#]|$)|^\.{1,2}(?:[/?#]|$)|\?(?:#|$)/

/** Makes the URI by which clients know a target's resource. */
export function exposeUri(target: Named, uri: string): string {
  const head = HEAD.exec(uri)?.[1]
  const { host, scheme } = tokensOf(target.name)
  if (head === undefined) {
    const isPlain = SCHEME_AND_REST.test(uri) && !uri.startsWith('uri:') && isUnchanged(uri)
    return isPlain ? `${scheme}+${uri}` : `${scheme}+uri:${encode(uri)}`
  }
  const rest = uri.slice(head.length)
  if (!isUnchanged(rest)) return `${head}${host}/+${encode(rest)}`
  const isDrive = head === 'file://' && /^[A-Za-z]:/.test(rest)
  return `${head}${host}/${/^\w/.test(rest) && !isDrive ? '' : '='}${rest}`
}

/** Makes the URI template by which clients know a target's; what they fill in stays as it is. */
export function exposeTemplate(target: Named, template: string): string {
  const head = HEAD.exec(template)?.[1]
  const { host, scheme } = tokensOf(target.name)
  if (head === undefined) return `${scheme}+${template}`
  const rest = template.slice(head.length)
  return `${head}${host}/${/^\{?\w/.test(rest) ? '' : '='}${rest}`
}

/** Finds the target and its own URI, or template, behind an exposed one. */
export function routeUri<T extends Named>(
  targets: readonly T[],
  exposed: string,
): { target: T; uri: string } | undefined {
  const head = HEAD.exec(exposed)?.[1]
  for (const target of head === undefined ? [] : targets) {
    const rest = restBehind(target, exposed.slice(head?.length))
    const uri = rest === undefined ? undefined : readRest(rest)
    if (uri !== undefined) return { target, uri: `${head}${uri}` }
  }
  for (const target of targets) {
    const start = `${tokensOf(target.name).scheme}+`
    if (!exposed.startsWith(start)) continue
    const own = exposed.slice(start.length)
    const uri = own.startsWith('uri:') ? decode(own.slice('uri:'.length)) : own
    if (uri !== undefined) return { target, uri }
  }
  return undefined
}

function restBehind({ name }: Named, place: string): string | undefined {
  const slash = place.indexOf('/')
  if (slash < 0) return undefined
  const host = place.slice(0, slash)
  // links of earlier versions hold the plain name
  return host === tokensOf(name).host || host === name ? place.slice(slash + 1) : undefined
}

function readRest(rest: string): string | undefined {
  if (rest.startsWith('=')) return rest.slice(1)
  return rest.startsWith('+') ? decode(rest.slice(1)) : rest
}

const isUnchanged = (text: string): boolean =>
  PLAIN.test(text) && !ODD_ESCAPE.test(text) && !ODD_SEGMENT.test(text)

const encode = (text: string): string => percentEncode(text).replaceAll("'", '%27')

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

interface Tokens {
  /** Valid as a host: lower case, and neither a number nor a special name. */
  readonly host: string
  /** Valid at the start of a scheme: a letter first, and no `_`. */
  readonly scheme: string
}

const known = new Map<string, Tokens>()

function tokensOf(name: string): Tokens {
  let tokens = known.get(name)
  if (tokens === undefined) {
    const lower = name.toLowerCase()
    const capitals = `c${placesOf(name, /[A-Z]/)}`
    const isHost = /^[a-z][a-z0-9_-]*$/.test(name) && !/^(localhost$|xn--)/.test(name)
    const isScheme = /^[a-z][a-z0-9-]*$/.test(name)
    const marks = `${capitals}.u${placesOf(name, /_/)}`
    tokens = {
      host: isHost ? name : `t-${lower}.${capitals}`,
      scheme: isScheme ? name : `t.${lower.replaceAll('_', '-')}.${marks}`,
    }
    known.set(name, tokens)
  }
  return tokens
}

/** Tells names apart that differ only in capitals, or in `-` and `_`. */
const placesOf = (name: string, wanted: RegExp): string =>
  [...name].flatMap((character, at) => (wanted.test(character) ? [at] : [])).join('-')
