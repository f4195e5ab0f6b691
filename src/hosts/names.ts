import { ProxyError } from '../util/errors.js'
import type { Host } from './host.js'

const LONGEST = 64
const LONGEST_DERIVED = 40

/** Makes the name of a server from that of a target or from a URL's host. */
export function deriveName({ names }: Pick<Host, 'names'>, from: string): string {
  const plain = from.replace(/[^A-Za-z0-9_-]+/g, '-')
  const fitting = names?.allowed.test('_') === false ? plain.replaceAll('_', '-') : plain
  const short = fitting.replace(/^[-_]+/, '').slice(0, LONGEST_DERIVED)
  return short.replace(/(?<![-_])[-_]+$/, '') || 'mcp'
}

/**
 * Checks a name that somebody chose.
 *
 * @throws {ProxyError} `USAGE`
 */
export function checkName({ title, names }: Pick<Host, 'title' | 'names'>, name: string): string {
  const wrong = (rule: string) =>
    new ProxyError('USAGE', `The name ${JSON.stringify(name)} ${rule}`, {
      hint: 'Give another one with `--name <name>`.',
    })
  if (name.trim() !== name || name === '') throw wrong('is empty or has spaces around it')
  if (name.length > LONGEST) throw wrong(`is longer than ${LONGEST} characters`)
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(name)) throw wrong('holds control characters')
  if (names !== undefined && !names.allowed.test(name)) {
    throw wrong(`is none for ${title}, which takes ${names.rule}`)
  }
  return name
}
