import { ProxyError } from '../util/errors.js'

const IDS =
  /^(reach\.(dns|tcp|tls)|auth\.(challenge|prm|as-metadata|token|rejects-no-token|rejects-bad-token)|protocol\.(modern|legacy|schema)|tools\.(list|names|call:.+)|(resources|prompts)\.list|budget\.p95)$/

/**
 * Reads a list of expected failures: one id a line; what follows `#` is a remark.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when a line is no id.
 */
export function parseBaseline(text: string, file: string): Set<string> {
  const ids = text
    .split(/\r?\n/)
    .map((line, index) => ({ id: line.replace(/(^|\s)#.*/, '').trim(), line: index + 1 }))
    .filter(({ id }) => id !== '')
  for (const { id, line } of ids) {
    if (IDS.test(id)) continue
    throw new ProxyError('CONFIG_INVALID', `${file}:${line}: ${JSON.stringify(id)} is no check`, {
      hint: 'Write one id a line, such as "auth.rejects-bad-token # until the next release".',
    })
  }
  return new Set(ids.map(({ id }) => id))
}
